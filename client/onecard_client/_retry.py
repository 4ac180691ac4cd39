"""When to ask again after a failure, and how much time is left for it.

It knows errors and clocks; it does not wait or call anything itself.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from onecard_client._errors import (
    CallContext,
    ConnectionFailed,
    DeadlineExceeded,
    OnecardError,
    Unavailable,
)

# About 0.2 + 0.4 + 0.8 + 1.6 s: long enough for a hiccup of the network, short enough for whoever
# mistyped an address.
MAX_CONNECTION_RETRIES = 4


@dataclass(frozen=True)
class Backoff:
    """Delays that double from `first_s` up to `max_s`."""

    first_s: float = 0.2
    max_s: float = 10.0

    def delay_s(self, num_failures: int) -> float:
        """The wait after that many failures; up to half of it is left to chance, so that callers
        who failed together do not return together."""
        full_s = min(self.max_s, self.first_s * 2.0 ** min(num_failures - 1, 32))
        return full_s * random.uniform(0.5, 1.0)


class Attempts:
    """The attempts at one call within its deadline.

    Only `Unavailable` is tried again: serving a request twice does no harm, for none changes
    anything. A deadline or a refusal would only come again. A server that answers is asked until
    the deadline, since what keeps it busy will end; where none answers, the retries of one call are
    counted, over all its attempts, so that audio which brings a server down does not do it for an
    hour.

    Args:
        max_retries: of whatever kind; None for MAX_CONNECTION_RETRIES where no server answers, and
            no limit but the deadline where one does.
    """

    def __init__(
        self, context: CallContext, max_retries: int | None, backoff: Backoff = Backoff()
    ) -> None:
        self._context = context
        self._max_retries = max_retries
        self._backoff = backoff
        self._num_failures = 0
        self._num_connection_failures = 0
        timeout_s = context.timeout_s
        self._deadline_s = None if timeout_s is None else time.monotonic() + timeout_s

    def remaining_s(self) -> float | None:
        """Seconds left until the deadline; None if there is none. Raises: DeadlineExceeded."""
        if self._deadline_s is None:
            return None
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineExceeded(
                f"`timeout_s` is `{self._context.timeout_s}` and nothing of it is left; "
                "give the call more time",
                request_id=self._context.request_id,
            )
        return remaining_s

    def delay_s(self, error: OnecardError) -> float:
        """How long to wait before the next attempt; raises `error` if there shall be none."""
        self._num_failures += 1
        self._num_connection_failures += isinstance(error, ConnectionFailed)
        if not isinstance(error, Unavailable) or self._are_used_up():
            raise error
        delay_s = self._backoff.delay_s(self._num_failures)
        if self._deadline_s is not None and time.monotonic() + delay_s >= self._deadline_s:
            raise error
        return delay_s

    def _are_used_up(self) -> bool:
        if self._max_retries is None:
            return self._num_connection_failures > MAX_CONNECTION_RETRIES
        return self._num_failures > self._max_retries

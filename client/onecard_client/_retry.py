"""When to ask again after a failure, and how much time is left for it.

It knows errors and clocks; it does not wait or call anything itself.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from onecard_client._errors import CallContext, DeadlineExceeded, OnecardError, Unavailable

# Four retries wait about 0.2 + 0.4 + 0.8 + 1.6 s: long enough for a model to restart.
DEFAULT_MAX_RETRIES = 4


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

    Only UNAVAILABLE is tried again: the request was not served, and serving it twice would do no
    harm, for a transcription changes nothing. A deadline or a refusal would only come again.
    """

    def __init__(
        self, context: CallContext, max_retries: int, backoff: Backoff = Backoff()
    ) -> None:
        self._context = context
        self._max_retries = max_retries
        self._backoff = backoff
        self._num_failures = 0
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
        if not isinstance(error, Unavailable) or self._num_failures > self._max_retries:
            raise error
        delay_s = self._backoff.delay_s(self._num_failures)
        if self._deadline_s is not None and time.monotonic() + delay_s >= self._deadline_s:
            raise error
        return delay_s

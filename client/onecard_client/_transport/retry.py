"""Decides when to ask again after a failure, and how much time is left for it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
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
# gRPC's words where nobody is at an address, as against a connection that was there and broke.
_NOBODY = re.compile(
    r"failed to connect|connection (refused|timed out)|resolving|resolution|timeout was reached"
    r"|unreachable|no route|handshake",
    re.IGNORECASE,
)


def is_nobody(error: OnecardError) -> bool:
    """Whether there is nobody at the address, as against a connection that broke amid a call."""
    return _NOBODY.search(str(error)) is not None


@dataclass
class Acquaintance:
    """A connection's memory of the server at its address.

    Attributes:
        has_answered: it was there once; where it is gone, it may come back.
        on_outage: called once in a call whose server was there and is gone, before the wait for it.
    """

    has_answered: bool = False
    on_outage: Callable[[OnecardError], object] | None = None


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
    the deadline, since what keeps it busy will end, and so is one that has answered before and is
    not there any more: it may be starting again, which can take minutes. Where no server ever
    answered, and where the connection breaks amid a call, the retries of the call are counted, so
    that audio which brings a server down does not do it for an hour.

    Args:
        max_retries: of whatever kind; None for MAX_CONNECTION_RETRIES where no server answers, and
            no limit but the deadline where one does.
    """

    def __init__(
        self,
        context: CallContext,
        max_retries: int | None,
        backoff: Backoff = Backoff(),
        acquaintance: Acquaintance | None = None,
    ) -> None:
        self._context = context
        self._max_retries = max_retries
        self._acquaintance = acquaintance or Acquaintance()
        self._is_told = False
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
        self._num_connection_failures += self._is_counted(error)
        if not isinstance(error, Unavailable) or self._are_used_up():
            raise error
        delay_s = self._backoff.delay_s(self._num_failures)
        if self._deadline_s is not None and time.monotonic() + delay_s >= self._deadline_s:
            raise error
        return delay_s

    def _is_counted(self, error: OnecardError) -> bool:
        """Whether it is a failure of the connection, and no wait for a server to come back."""
        if not isinstance(error, ConnectionFailed):
            return False
        if not is_nobody(error):  # what broke was there
            self._acquaintance.has_answered = True
            return True
        if not self._acquaintance.has_answered:
            return True
        if not self._is_told and self._acquaintance.on_outage is not None:
            self._acquaintance.on_outage(error)
        self._is_told = True
        return False

    def _are_used_up(self) -> bool:
        if self._max_retries is None:
            return self._num_connection_failures > MAX_CONNECTION_RETRIES
        return self._num_failures > self._max_retries

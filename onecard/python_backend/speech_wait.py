"""Text work is held back while speech is processed, up to a limit for each request."""

from __future__ import annotations

import time
from collections.abc import Callable

from onecard.python_backend import speech_lock

IsBusy = Callable[[], bool]  # whether speech is in flight; may raise Cancelled
Clock = Callable[[], float]


def noticed(check: Callable[[], None]) -> IsBusy:
    """Whether speech is in flight, for work that waits for its end.

    Args:
        check: raises Cancelled where the caller is gone, who need not wait.
    """

    def is_busy() -> bool:
        check()
        return speech_lock.speech_in_flight()

    return is_busy


class SpeechWait:
    """Holds the calls of one request back while speech is in flight.

    The bound is one for all of them: where somebody always speaks, a request of a thousand calls
    still ends.

    Args:
        max_wait_s: of the request in sum.
        clock: in seconds, never set back.

    Attributes:
        is_waited_for: a call is held back now.
        waited_s: in sum, by calls that were let start.
    """

    def __init__(self, is_busy: IsBusy, max_wait_s: float, clock: Clock = time.monotonic) -> None:
        self._is_busy = is_busy
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._since: float | None = None
        self.waited_s = 0.0

    @property
    def is_waited_for(self) -> bool:
        return self._since is not None

    def lets_start(self) -> bool:
        """Whether the next call may start now."""
        now = self._clock()
        waited_s = 0.0 if self._since is None else now - self._since
        if self._is_busy() and self.waited_s + waited_s < self._max_wait_s:
            self._since = now - waited_s
            return False
        self.waited_s += waited_s
        self._since = None
        return True

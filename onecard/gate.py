"""Who goes next where few can go at a time: whoever has least left, and nobody is kept for ever.

It knows threads and amounts; it knows nothing of what is being done. The least first is what makes
the mean wait shortest (SRPT: Schrage, "A proof of the optimality of the shortest remaining
processing time discipline", 1968); alone it would let a stream of short recordings hold up a long
one without end, so now and then it is the turn of whoever has waited longest.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator

# Of so many turns one goes to whoever has waited longest.
_PATIENCE = 5


class Gate:
    """Lets `places` through at a time. Threads share one."""

    def __init__(self, places: int = 1) -> None:
        self._free = places
        self._changed = threading.Condition()
        self._waiting: dict[int, float] = {}  # ticket, in order of arrival -> what is left
        self._tickets = itertools.count()
        self._num_turns = 0

    @contextlib.contextmanager
    def turn(self, left: float) -> Iterator[None]:
        """Wait for a place and hold it; `left`: what the work is a part of, in any one unit."""
        with self._changed:
            ticket = next(self._tickets)
            self._waiting[ticket] = left
            while not self._free or self._next() != ticket:
                self._changed.wait()
            del self._waiting[ticket]
            self._free -= 1
            self._num_turns += 1
            self._changed.notify_all()  # there may be another place
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _next(self) -> int:
        if self._num_turns % _PATIENCE == _PATIENCE - 1:
            return min(self._waiting)
        return min(self._waiting, key=lambda ticket: (self._waiting[ticket], ticket))

"""Admission control: shortest remaining work first; every fifth turn goes to the longest waiter.

This makes the mean wait shortest (SRPT: Schrage, "A proof of the optimality of the shortest
remaining processing time discipline", 1968). Alone it would let a stream of short recordings hold
up a long one indefinitely; hence the turns of the longest waiter.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

# One of this many turns goes to the longest waiter.
_PATIENCE = 5
_CHECK_S = 0.1  # how soon a waiter notices that nobody needs its work any more


@dataclass(frozen=True)
class _Waiting:
    lane: str
    left: float


class Admission:
    """Admits `places` pieces of work at a time, and in each lane no more than the lane has.

    Threads share one.

    Args:
        places: of all lanes together.
        lanes: places of each lane, by name, so that a lane whose work waits for something else
            does not keep other lanes from going on.
    """

    def __init__(self, places: int, lanes: Mapping[str, int]) -> None:
        self._free = places
        self._free_of = dict(lanes)
        self._changed = threading.Condition()
        self._waiting: dict[int, _Waiting] = {}  # by ticket, in order of arrival
        self._tickets = itertools.count()
        self._num_turns = 0

    @contextlib.contextmanager
    def turn(self, lane: str, left: float, check: Callable[[], None]) -> Iterator[None]:
        """Wait for a place and hold it.

        Args:
            left: how much is left of the whole that the work is a part of, in any one unit.
            check: raises if there is no more need to wait; called now and then.
        """
        with self._changed:
            ticket = next(self._tickets)
            self._waiting[ticket] = _Waiting(lane, left)
            try:
                while self._next() != ticket:
                    self._changed.wait(_CHECK_S)
                    check()
                self._num_turns += 1
                self._take(lane, 1)
            finally:
                del self._waiting[ticket]
                self._changed.notify_all()  # there may be another place
        try:
            yield
        finally:
            with self._changed:
                self._take(lane, -1)
                self._changed.notify_all()

    def _take(self, lane: str, places: int) -> None:
        self._free -= places
        self._free_of[lane] -= places

    def _next(self) -> int | None:
        """The ticket that may go now; None if there is no place for any."""
        can_go = [n for n, waiting in self._waiting.items() if self._free_of[waiting.lane] > 0]
        if not self._free or not can_go:
            return None
        if self._num_turns % _PATIENCE == _PATIENCE - 1:
            return min(can_go)
        return min(can_go, key=lambda ticket: (self._waiting[ticket].left, ticket))

"""What became of every request of a soak: answered, refused, dropped by us, or a fault."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onecard_client import (
    BadResponse,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    ServerError,
    Unavailable,
)

ANSWERED, REFUSED, DROPPED = "answered", "refused", "dropped"
LOST, WRONG, UNTYPED = FAULTS = ("lost", "wrong", "untyped")
VERDICTS = (ANSWERED, REFUSED, DROPPED, *FAULTS)


class Left(OSError):
    """The caller of this request left on purpose, as its kind has it."""


class WrongAnswer(Exception):
    """The answer is not what it was in the reference run, or not what was asked for."""


@dataclass(frozen=True)
class Outcome:
    """The end of one request.

    Attributes:
        verdict: one of `VERDICTS`.
        began_s: seconds after the start of the soak.
        difference: share of words that differ from the reference run; None where none is compared.
    """

    number: int
    kind: str
    verdict: str
    why: str
    began_s: float
    took_s: float
    difference: float | None = None


def verdict(error: BaseException | None, *, is_disturbed: bool, is_stopping: bool) -> str:
    """What a request's end means, of one that was to be answered.

    Args:
        error: what the call raised; None for an answer that was found right.
        is_disturbed: a process was killed while it was under way, so that its connection may break.
        is_stopping: the soak was told to end, and closed its own connections.
    """
    if error is None:
        return ANSWERED
    if isinstance(error, Left) or (is_stopping and not isinstance(error, WrongAnswer)):
        return DROPPED
    if isinstance(error, WrongAnswer | InvalidRequest):  # a good request is no invalid one
        return WRONG
    if isinstance(error, ConnectionFailed):
        return REFUSED if is_disturbed else LOST
    if isinstance(error, Unavailable):
        return REFUSED
    if isinstance(error, BadResponse | DeadlineExceeded | Cancelled):  # no end, no end in time
        return LOST
    return UNTYPED


def verdict_of_bad(error: BaseException | None, *, is_disturbed: bool, is_stopping: bool) -> str:
    """The same of a request that was to be refused."""
    if error is None:
        return WRONG
    if isinstance(error, InvalidRequest):
        return REFUSED
    if isinstance(error, ServerError) and not isinstance(error, BadResponse):
        return UNTYPED
    return verdict(error, is_disturbed=is_disturbed, is_stopping=is_stopping)


class Account:
    """Every request from its beginning to its end; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._open: dict[int, tuple[str, float]] = {}
        self._num_begun = 0
        self.ended: list[Outcome] = []

    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began_s

    def begin(self, number: int, kind: str) -> None:
        with self._lock:
            self._num_begun += 1
            self._open[number] = (kind, self.now_s())

    def end(self, number: int, verdict: str, why: str, difference: float | None = None) -> None:
        """The end of a request; what comes after it was given up does not count."""
        with self._lock:
            if number not in self._open:
                return
            kind, began_s = self._open.pop(number)
            took_s = self.now_s() - began_s
            self.ended.append(Outcome(number, kind, verdict, why, began_s, took_s, difference))

    def give_up(self) -> None:
        """Count what is still open as lost: it was waited for, and did not end."""
        with self._lock:
            left = list(self._open)
        for number in left:
            self.end(number, LOST, "it never ended")

    @property
    def num_begun(self) -> int:
        return self._num_begun

    @property
    def num_open(self) -> int:
        with self._lock:
            return len(self._open)

    def counts(self) -> dict[str, int]:
        """Requests of each verdict."""
        with self._lock:
            found = Counter(outcome.verdict for outcome in self.ended)
        return {name: found[name] for name in VERDICTS}

    def faults(self) -> list[Outcome]:
        with self._lock:
            return [outcome for outcome in self.ended if outcome.verdict in FAULTS]

    def is_clean(self) -> bool:
        """Whether nothing was lost, wrong or untyped, and every request has one end."""
        return not self.faults() and len(self.ended) == self._num_begun

    def by_kind(self) -> dict[str, dict[str, Any]]:
        """Counts of each kind, and the seconds of its answers."""
        with self._lock:
            ended = list(self.ended)
        found: dict[str, dict[str, Any]] = {}
        for kind in sorted({outcome.kind for outcome in ended}):
            mine = [outcome for outcome in ended if outcome.kind == kind]
            took_s = sorted(one.took_s for one in mine if one.verdict == ANSWERED)
            differ = [one.difference for one in mine if one.difference is not None]
            found[kind] = {
                **{name: sum(one.verdict == name for one in mine) for name in VERDICTS},
                "median_s": _quantile(took_s, 0.5),
                "p95_s": _quantile(took_s, 0.95),
                "compared": len(differ),
                "same": sum(difference == 0 for difference in differ),
                "most_difference": max(differ, default=None),
            }
        return found


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

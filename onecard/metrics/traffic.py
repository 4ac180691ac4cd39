"""The requests of one model: who is under way, who waits, how much is left, and how it ended."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.metrics import families
from onecard.metrics.board import Board, Create, Key

RUNNING, WAITING, SENDING = STATES = ("running", "waiting", "sending")
OUTCOMES = ("done", "refused", "cancelled", "invalid", "failed")
Clock = Callable[[], float]


def outcome(error: Exception | None) -> str:
    """One of `OUTCOMES`."""
    if error is None:
        return "done"
    if isinstance(error, Cancelled):
        return "cancelled"
    if isinstance(error, Unavailable):
        return "refused"
    return "invalid" if isinstance(error, InvalidRequest) else "failed"


class Visit:
    """One request, from the time when it was accepted to its end. Threads share one.

    It runs, unless `sending` or `waiting` is open and no `working` is.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._lock = threading.Lock()
        self._began_s = self._waited_s = traffic.clock()
        self._num_open = dict.fromkeys(STATES, 0)
        self._audio_s = 0.0
        self.audio_left_s = 0.0

    @property
    def state(self) -> str:
        """One of `STATES`."""
        with self._lock:
            return self._state()

    @property
    def waiting_since_s(self) -> float:
        """When nothing was done for it any more, by the traffic's clock."""
        return self._waited_s

    def _state(self) -> str:
        if self._num_open[RUNNING]:
            return RUNNING
        if self._num_open[SENDING]:
            return SENDING
        return WAITING if self._num_open[WAITING] else RUNNING

    def _open(self, state: str, count: int) -> None:
        with self._lock:
            before = self._state()
            self._num_open[state] += count
            if self._state() == WAITING != before:
                self._waited_s = self._traffic.clock()
        self._traffic.changed()

    def hold(self) -> None:
        """Wait until `release`."""
        self._open(WAITING, 1)

    def release(self) -> None:
        self._open(WAITING, -1)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """While it waits, unless it works somewhere else."""
        self._open(WAITING, 1)
        try:
            yield
        finally:
            self._open(WAITING, -1)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """While its parts still come; its time counts from the end of that on."""
        self._open(SENDING, 1)
        try:
            yield
        finally:
            self._began_s = self._traffic.clock()
            self._open(SENDING, -1)

    @contextlib.contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """While another model works for it."""
        self._open(RUNNING, 1)
        began_s = self._traffic.clock()
        try:
            yield
        except (Cancelled, InvalidRequest):
            raise
        except Exception:
            self._traffic.failed(stage)
            raise
        else:
            self._traffic.worked(stage, self._traffic.clock() - began_s)
        finally:
            self._open(RUNNING, -1)

    def audio(self, audio_s: float, left_s: float) -> None:
        """How many seconds of audio it has, and how many of them are not done."""
        with self._lock:
            before_s = self.audio_left_s if self._audio_s else audio_s
            self._audio_s, self.audio_left_s = audio_s, left_s
        self._traffic.audio_done(max(0.0, before_s - left_s))

    def llm_call(self, num_tokens_in: int, num_tokens_out: int) -> None:
        """A call to the language model that ended."""
        self._traffic.llm_call(num_tokens_in, num_tokens_out)

    def item(self, for_review: bool) -> None:
        """A verdict or entry that was told, and whether a person is to look at it."""
        self._traffic.item(for_review)

    def end(self, error: Exception | None) -> None:
        """The end, which is told once."""
        if error is None and self._audio_s:
            self.audio(self._audio_s, 0.0)
        self._traffic.ended(self, error, self._traffic.clock() - self._began_s, self._audio_s)


class Traffic:
    """The requests of one model instance.

    Args:
        create: makes Triton's metrics; None: nothing is published.
        model, instance: as Triton calls them.
        stages: models that it calls, to be shown from the start on.
        warn: as `Board`'s.
        clock: in seconds, never set back.
    """

    def __init__(
        self,
        create: Create | None = None,
        model: str = "",
        instance: str = "",
        stages: tuple[str, ...] = (),
        warn: Callable[[str], None] = lambda _: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._visits: dict[int, Visit] = {}
        self._board: Board | None = None
        if create is not None:
            self._board = Board(create, (model, instance), self._gauges, warn)
            self._show(self._board, stages)

    def _show(self, board: Board, stages: tuple[str, ...]) -> None:
        """Have everything there from the start on, so that a first error is seen as a change."""
        board.show(families.STREAM_S)
        for found in OUTCOMES:
            board.show(families.ENDED, found)
        for stage in stages:
            board.show(families.STAGE_S, stage)
            board.show(families.STAGE_ERRORS, stage)
        if "decode_audio" in stages:
            board.show(families.AUDIO_S)
            board.show(families.FACTOR)
        if "llm" in stages:
            board.show(families.LLM_CALLS)
            for direction in ("in", "out"):
                board.show(families.LLM_TOKENS, direction)
            for answer in ("yes", "no"):
                board.show(families.ITEMS, answer)

    def accept(self) -> Visit:
        """A request that will be answered, or be refused at its end."""
        visit = Visit(self)
        with self._lock:
            self._visits[id(visit)] = visit
        self.changed()
        return visit

    def turn_away(self, error: Exception) -> None:
        """A request that was never accepted."""
        self._count(families.ENDED, outcome(error))

    def close(self) -> None:
        """Nothing is published from now on."""
        board, self._board = self._board, None
        if board is not None:
            board.close()

    def changed(self) -> None:
        if self._board is not None:
            self._board.change()

    def worked(self, stage: str, seconds: float) -> None:
        if self._board is not None:
            self._board.observe(seconds, families.STAGE_S, stage)

    def audio_done(self, seconds: float) -> None:
        self._count(families.AUDIO_S, amount=seconds)

    def failed(self, stage: str) -> None:
        self._count(families.STAGE_ERRORS, stage)

    def llm_call(self, num_tokens_in: int, num_tokens_out: int) -> None:
        self._count(families.LLM_CALLS)
        self._count(families.LLM_TOKENS, "in", amount=num_tokens_in)
        self._count(families.LLM_TOKENS, "out", amount=num_tokens_out)

    def item(self, for_review: bool) -> None:
        self._count(families.ITEMS, "yes" if for_review else "no")

    def ended(self, visit: Visit, error: Exception | None, seconds: float, audio_s: float) -> None:
        with self._lock:
            if self._visits.pop(id(visit), None) is None:
                return
        found = outcome(error)
        self._count(families.ENDED, found)
        if found != "done" or self._board is None:
            return
        self._board.observe(seconds, families.STREAM_S)
        if audio_s > 0:
            self._board.observe(seconds / audio_s, families.FACTOR)

    def _count(self, family: families.Family, *labels: str, amount: float = 1.0) -> None:
        if self._board is not None:
            self._board.add(family, *labels, amount=amount)

    def _gauges(self) -> tuple[Mapping[Key, float], bool]:
        with self._lock:
            visits = list(self._visits.values())
        now_s = self.clock()
        states = [visit.state for visit in visits]
        waits_s = [
            now_s - visit.waiting_since_s
            for visit, state in zip(visits, states, strict=True)
            if state == WAITING
        ]
        values: dict[Key, float] = {
            (families.STREAMS, (state,)): float(states.count(state)) for state in STATES
        }
        values[families.OLDEST_WAIT_S, ()] = round(max(waits_s, default=0.0), 1)
        values[families.AUDIO_LEFT_S, ()] = sum(visit.audio_left_s for visit in visits)
        return values, bool(waits_s)

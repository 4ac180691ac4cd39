"""The requests of one model: who is under way, who waits, how much is left, and how it ended."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.metrics import families
from onecard.metrics.board import Board, Create, Key
from onecard.metrics.record import MAX_SPANS, UNKNOWN, Origin, Record, Span, Stage

RUNNING, WAITING, SENDING = STATES = ("running", "waiting", "sending")
OUTCOMES = ("done", "refused", "cancelled", "invalid", "failed")
Clock = Callable[[], float]
Tell = Callable[[Record], None]


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

    def __init__(self, traffic: Traffic, origin: Origin) -> None:
        self._traffic = traffic
        self._origin = origin
        self._lock = threading.Lock()
        self._accepted_s = time.time()
        self._began_s = self._waited_s = self._changed_s = self._visited_s = traffic.clock()
        self._in_state_s = dict.fromkeys(STATES, 0.0)
        self._stages: dict[str, Stage] = {}
        self._spans: list[Span] = []
        self._tokens = [0, 0]
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
            now_s = self._traffic.clock()
            self._in_state_s[before] += now_s - self._changed_s
            self._changed_s = now_s
            if self._state() == WAITING != before:
                self._waited_s = now_s
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
        has_failed = False
        try:
            yield
        except (Cancelled, InvalidRequest):
            raise
        except Exception:
            has_failed = True
            self._traffic.failed(stage)
            raise
        else:
            self._traffic.worked(stage, self._traffic.clock() - began_s)
        finally:
            self._open(RUNNING, -1)
            self._keep(stage, began_s, has_failed)

    def _keep(self, stage: str, began_s: float, has_failed: bool) -> None:
        now_s = self._traffic.clock()
        with self._lock:
            found = self._stages.setdefault(stage, Stage())
            found.calls += 1
            found.errors += has_failed
            found.seconds += now_s - began_s
            if len(self._spans) < MAX_SPANS:
                first_s = self._visited_s
                self._spans.append(Span(stage, began_s - first_s, now_s - first_s, has_failed))

    def record(self, model: str, error: Exception | None) -> Record:
        """Its whole way, at its end."""
        with self._lock:
            now_s = self._traffic.clock()
            self._in_state_s[self._state()] += now_s - self._changed_s
            self._changed_s = now_s
            return Record(
                model,
                self._origin,
                outcome(error),
                None if error is None else type(error).__name__,
                self._accepted_s,
                now_s - self._visited_s,
                dict(self._in_state_s),
                self._audio_s,
                dict(self._stages),
                tuple(self._spans),
                *self._tokens,
            )

    def audio(self, audio_s: float, left_s: float) -> None:
        """How many seconds of audio it has, and how many of them are not done."""
        with self._lock:
            before_s = self.audio_left_s if self._audio_s else audio_s
            self._audio_s, self.audio_left_s = audio_s, left_s
        self._traffic.audio_done(max(0.0, before_s - left_s))

    def llm_call(self, num_tokens_in: int, num_tokens_out: int) -> None:
        """A call to the language model that ended."""
        with self._lock:
            self._tokens[0] += num_tokens_in
            self._tokens[1] += num_tokens_out
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
        tell: is told of every request at its end, if anybody wants to know.
    """

    def __init__(
        self,
        create: Create | None = None,
        model: str = "",
        instance: str = "",
        stages: tuple[str, ...] = (),
        warn: Callable[[str], None] = lambda _: None,
        clock: Clock = time.monotonic,
        tell: Tell | None = None,
    ) -> None:
        self.clock = clock
        self._model, self._tell = model, tell
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

    def accept(self, origin: Origin = UNKNOWN) -> Visit:
        """A request that will be answered, or be refused at its end."""
        visit = Visit(self, origin)
        with self._lock:
            self._visits[id(visit)] = visit
        self.changed()
        return visit

    def turn_away(self, error: Exception, origin: Origin = UNKNOWN) -> None:
        """A request that was never accepted."""
        self._count(families.ENDED, outcome(error))
        if self._tell is not None:
            self._tell(Visit(self, origin).record(self._model, error))

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
        if self._tell is not None:
            self._tell(visit.record(self._model, error))
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

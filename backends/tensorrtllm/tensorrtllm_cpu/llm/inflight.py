"""In-flight batching: sequences join and leave the running batch between any two tokens.

Admission is `guaranteed_no_evict`: a sequence starts when the cache has room for its prompt and all
the output that it asked for, in order of arrival, so that none is ever put back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from onecard.contract import trtllm
from onecard.errors import Cancelled
from tensorrtllm_cpu.contract.refusal import ExecutorRefusal, Refusal
from tensorrtllm_cpu.contract.request import Array
from tensorrtllm_cpu.llm.guides import Guide
from tensorrtllm_cpu.llm.limits import Job
from tensorrtllm_cpu.llm.model import DecoderModel, Slice
from tensorrtllm_cpu.llm.sampler import Sampler, ends_with

MIN_CHUNK = 3  # of a prompt; see `_chunk`
# How long an idle engine waits for the next of several requests before it begins: those that are
# sent at once come one to five milliseconds apart, and who misses the first step waits for its end,
# 30 ms or more. A request that comes alone begins so much later.
COMPANY_S = 0.003


class Caller(Protocol):
    """Who is told what becomes of a sequence. Called on the loop's thread: must not block."""

    def notify(self, sequence: Sequence) -> None:
        """There are new tokens, or the sequence is finished."""


@dataclass(eq=False)
class Sequence:
    """One request in the loop.

    `past` tokens are in the cache; `generated` holds what followed the prompt, without the end
    token, `cum_log_prob` counts it. `is_cancelled`: it ends before it is complete; `refusal`: why,
    unless somebody wished it.
    """

    job: Job
    request_id: str
    number: int
    caller: Caller
    guide: Future[Guide] | None = None
    sampler: Sampler | None = None
    slot: int = -1
    num_blocks: int = 0
    past: int = 0
    generated: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    cum_log_prob: float = 0.0
    is_cancelled: bool = False
    is_finished: bool = False
    refusal: Refusal | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it is in line: one whose guide is still being compiled is not yet."""
        return self.guide is None or self.guide.done()

    def check(self) -> None:
        """Raises Cancelled where nobody waits for the answer any more."""
        if self.is_cancelled:
            raise Cancelled("nobody waits for the answer")

    @property
    def num_left(self) -> int:
        """Prompt tokens that are not in the cache yet."""
        return max(0, len(self.job.request.prompt) - self.past)


@dataclass(frozen=True)
class Load:
    """How busy the loop is: sequences, and blocks of the KV cache."""

    max_sequences: int
    num_waiting: int
    num_running: int
    num_in_context_phase: int
    num_context_tokens: int
    max_blocks: int
    num_used_blocks: int
    num_steps: int


class InFlight:
    """Runs a model for many sequences at once, on a thread of its own."""

    def __init__(
        self,
        model: DecoderModel,
        max_sequences: int,
        max_waiting: int,
        max_kv_tokens: int,
        max_step_tokens: int,
        log: Callable[[str], None],
    ) -> None:
        """`max_waiting` 0: any number. The KV cache must hold `max_kv_tokens`."""
        self._model = model
        self._max_sequences = max_sequences
        self._max_waiting = max_waiting
        self._max_blocks = -(-max_kv_tokens // model.tokens_per_block)
        self._max_step_tokens = max_step_tokens
        self._log = log
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self._free_slots = list(range(max_sequences))[::-1]
        self._num_used_blocks = 0
        self._num_steps = 0
        self._num_context_tokens = 0
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="in-flight batching", daemon=True)
        self._thread.start()

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence; its caller hears of everything else.

        Raises:
            Refusal: too many wait already, or the cache could never hold it.
        """
        num_blocks = -(-sequence.job.num_kv_tokens // self._model.tokens_per_block)
        if num_blocks > self._max_blocks:
            max_tokens = self._max_blocks * self._model.tokens_per_block
            text = trtllm.KV_CACHE_TOO_SMALL.format(max_tokens, sequence.job.num_kv_tokens)
            raise ExecutorRefusal(trtllm.REFUSED.format(text))
        sequence.num_blocks = num_blocks
        with self._changed:
            if 0 < self._max_waiting <= self._num_stuck():
                raise Refusal(trtllm.QUEUE_FULL.format(self._max_waiting))
            self._waiting.append(sequence)
            self._changed.notify()
        if sequence.guide is not None:
            sequence.guide.add_done_callback(lambda _: self._wake())

    def cancel(self, is_meant: Callable[[Sequence], bool]) -> None:
        """End those sequences at the next token boundary; what they generated is theirs."""
        with self._changed:
            for sequence in (*self._waiting, *self._running):
                if is_meant(sequence):
                    sequence.is_cancelled = True
            self._changed.notify()

    def live(self) -> list[Sequence]:
        """Those that wait or run."""
        with self._changed:
            return [*self._waiting, *self._running]

    def load(self) -> Load:
        with self._changed:
            return Load(
                max_sequences=self._max_sequences,
                num_waiting=len(self._waiting),
                num_running=len(self._running),
                num_in_context_phase=sum(one.num_left > 0 for one in self._running),
                num_context_tokens=self._num_context_tokens,
                max_blocks=self._max_blocks,
                num_used_blocks=self._num_used_blocks,
                num_steps=self._num_steps,
            )

    def close(self) -> None:
        """End every sequence, then the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _num_stuck(self) -> int:
        """How many wait although the loop has looked: not those that join before the next step."""
        slots, blocks = len(self._free_slots), self._max_blocks - self._num_used_blocks
        for index, sequence in enumerate(self._waiting):
            slots, blocks = slots - 1, blocks - sequence.num_blocks
            if slots < 0 or blocks < 0:
                return len(self._waiting) - index
        return 0

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._leave(one for one in self._running if one.is_cancelled)
                self._join()
                if self._is_closing:
                    for sequence in self._running:
                        sequence.is_cancelled = True
                    self._leave(iter(self._running))
                    return
                if not self._running:
                    self._num_context_tokens = 0
                    self._changed.wait()
                    self._gather()
                    continue
            try:
                self._step(self._compose())
            except Exception as error:  # the loop must outlive whatever a step does
                self._log(f"a step failed: {error!r}")
                for sequence in self._running:
                    self._refuse(sequence, error)

    def _gather(self) -> None:
        """Wait for those that come together with the first, so that one step reads all prompts."""
        before, ready = 0, self._num_ready()
        while before < ready < self._max_sequences:
            self._changed.wait(COMPANY_S)
            before, ready = ready, self._num_ready()

    def _num_ready(self) -> int:
        return sum(one.is_ready and not one.is_cancelled for one in self._waiting)

    def _join(self) -> None:
        """Let in who waits, in order, while there is room for the next one.

        Nobody overtakes a request that waits for room, or a large one might wait for ever.
        """
        is_full = False
        for sequence in list(self._waiting):
            if sequence.is_cancelled or self._is_closing:
                self._waiting.remove(sequence)
                self._end(sequence)
            elif not is_full and sequence.is_ready:
                has_room = self._num_used_blocks + sequence.num_blocks <= self._max_blocks
                is_full = not (has_room and self._free_slots)
                if not is_full:
                    self._waiting.remove(sequence)
                    self._start(sequence)

    def _start(self, sequence: Sequence) -> None:
        try:
            guide = None if sequence.guide is None else sequence.guide.result()
        except Exception as error:
            self._refuse(sequence, error)
            self._end(sequence)
            return
        sequence.sampler = Sampler(sequence.job.request, self._model.vocab_size, guide)
        sequence.slot = self._free_slots.pop()
        self._num_used_blocks += sequence.num_blocks
        self._running.append(sequence)

    def _leave(self, leaving: Iterator[Sequence]) -> None:
        for sequence in list(leaving):
            self._running.remove(sequence)
            self._model.release(sequence.slot)
            self._free_slots.append(sequence.slot)
            self._num_used_blocks -= sequence.num_blocks
            self._end(sequence)

    def _end(self, sequence: Sequence) -> None:
        sequence.is_finished = True
        sequence.caller.notify(sequence)

    def _compose(self) -> list[tuple[Sequence, Slice]]:
        """What the next step computes: a token for everybody, and of prompts what fits besides."""
        generating = [one for one in self._running if one.num_left == 0]
        reading = [one for one in self._running if one.num_left > 0]
        step = [(one, Slice(one.slot, one.generated[-1:], one.past)) for one in generating]
        room = max(MIN_CHUNK, self._max_step_tokens - len(step))
        self._num_context_tokens = 0
        for one in reading:
            count = _chunk(one, room)
            if count == 0:
                break
            tokens = one.job.request.prompt[one.past : one.past + count]
            step.append((one, Slice(one.slot, tokens, one.past)))
            room -= count
            self._num_context_tokens += count
        return step

    def _step(self, step: list[tuple[Sequence, Slice]]) -> None:
        try:
            logits = self._model.forward([piece for _, piece in step])
        except Exception as error:
            if len(step) == 1:
                self._log(f"request {step[0][0].number} failed: {error!r}")
                self._refuse(step[0][0], error)
                return
            # Whose fault it is shows when each runs alone.
            self._log(
                f"a step of {len(step)} sequences failed ({error!r}); running them one by one"
            )
            for part in step:
                self._step([part])
            return
        self._num_steps += 1
        for (sequence, piece), row in zip(step, logits, strict=True):
            sequence.past += len(piece.tokens)
            if sequence.num_left == 0:
                self._extend(sequence, row)

    def _extend(self, sequence: Sequence, logits: Array) -> None:
        """Choose the sequence's next token; let it leave where that was its last."""
        assert sequence.sampler is not None
        request = sequence.job.request
        try:
            token, log_prob = sequence.sampler.next(logits)
        except Exception as error:
            self._refuse(sequence, error)
            return
        sequence.cum_log_prob += log_prob
        is_last = token == request.end_id
        if not is_last:
            sequence.generated.append(token)
            sequence.log_probs.append(log_prob)
            is_last = (
                len(sequence.generated) >= sequence.job.num_new_tokens
                or ends_with(sequence.generated, request.stop_words)
                or sequence.sampler.is_complete
            )
        if is_last:
            with self._changed:
                self._leave(iter([sequence]))
        elif request.streaming:
            sequence.caller.notify(sequence)

    def _refuse(self, sequence: Sequence, error: Exception) -> None:
        if not isinstance(error, Refusal):
            error = ExecutorRefusal(trtllm.FAILED.format(error))
        sequence.refusal = error
        sequence.is_cancelled = True


def _chunk(sequence: Sequence, room: int) -> int:
    """How many tokens of its prompt the sequence reads next.

    Never one alone of a longer prompt: engines compute a single token by another path, with other
    rounding, and where a prompt is cut depends on who else runs.
    """
    count = min(room, sequence.num_left)
    if sequence.num_left - count == 1:
        count -= 1
    return count if count > 1 or len(sequence.job.request.prompt) == 1 else 0

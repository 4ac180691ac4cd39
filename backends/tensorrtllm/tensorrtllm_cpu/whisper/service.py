"""What becomes of the requests that Triton hands over in one call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from onecard.contract import trtllm
from tensorrtllm_cpu.contract import answer, request
from tensorrtllm_cpu.contract.answer import Answer
from tensorrtllm_cpu.contract.refusal import CANCELLED, ExecutorRefusal, Refusal
from tensorrtllm_cpu.contract.request import Array, Request
from tensorrtllm_cpu.contract.settings import Settings
from tensorrtllm_cpu.whisper import batches


class Engine(Protocol):
    """What runs the jobs of encoder-decoder models; `Job` is the engine's own.

    `encode` and `generate` are called from several threads.
    """

    honoured: frozenset[str]
    neutral: Mapping[str, float]

    def admit(self, request: Request) -> Any: ...
    def together(self, job: Any) -> Hashable: ...
    def kv_tokens(self, job: Any) -> tuple[int, ...]: ...
    def encode(self, job: Any) -> None: ...
    def generate(self, jobs: Sequence[Any]) -> list[Answer]: ...


class Incoming(Protocol):
    """What the service needs of a Triton request."""

    def inputs(self) -> Sequence[Any]: ...
    def request_id(self) -> str: ...
    def requested_output_names(self) -> Sequence[str]: ...
    def is_cancelled(self) -> bool: ...


Outcome = dict[str, Array] | Refusal


@dataclass(eq=False)
class Task:
    """One request on its way: its number, what it asked for, and in the end its outcome."""

    incoming: Incoming
    number: int
    job: Any = None
    request: Request | None = None
    outcome: Outcome | None = None


class Service:
    """Answers requests with an engine."""

    def __init__(self, engine: Engine, settings: Settings, log: Callable[[str], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._log = log
        self._numbers = itertools.count(1)
        self._pool = ThreadPoolExecutor(settings.num_threads, "whisper")

    def answer(self, requests: Sequence[Incoming]) -> list[Outcome]:
        """One outcome for each request, in order: its output tensors, or why there are none."""
        tasks: list[Task] = []
        for incoming in requests:
            task = Task(incoming, next(self._numbers))
            self._guard(task, lambda task=task: self._admit(task, tasks))  # type: ignore[misc]
            tasks.append(task)
        waiting = [task for task in tasks if task.outcome is None]
        for group in batches.grouped(waiting, lambda task: self._engine.together(task.job)):
            for batch in batches.fitted(
                group,
                lambda task: self._engine.kv_tokens(task.job),
                self._settings.max_kv_tokens,
                self._settings.max_batch_size,
            ):
                # list(): what a part raises is raised here.
                parts = batches.parts(batch, self._settings.num_threads)
                list(self._pool.map(self._run, parts))
        return [_outcome(task) for task in tasks]

    def close(self) -> None:
        """End the threads; nothing else outlives a call of `answer`."""
        self._pool.shutdown()

    def _admit(self, task: Task, earlier: Sequence[Task]) -> None:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in task.incoming.inputs()}
        if request.flag(inputs, "stop"):
            self._stop(task, earlier)
            return
        names = frozenset(task.incoming.requested_output_names())
        task.request = request.read(inputs, names, self._settings)
        engine = self._engine
        request.refuse_what_cannot_be_honoured(inputs, engine.honoured, engine.neutral)
        task.job = engine.admit(task.request)

    def _stop(self, task: Task, earlier: Sequence[Task]) -> None:
        """End the requests of the same id that wait in this call; an unknown id is no error."""
        request_id = task.incoming.request_id()
        if not request_id:
            raise Refusal(trtllm.STOP_NEEDS_ID)
        for other in earlier:
            if other.incoming.request_id() == request_id and other.outcome is None:
                assert other.request is not None
                other.outcome = answer.nothing(other.request)
        task.outcome = {}

    def _run(self, batch: Sequence[Task]) -> None:
        """Encode one by one, then decode together whoever is still wanted."""
        for task in batch:
            self._guard(task, lambda task=task: self._encode(task))  # type: ignore[misc]
        ready = [task for task in batch if task.outcome is None]
        if not ready:
            return
        try:
            answers = self._engine.generate([task.job for task in ready])
        except Exception as error:
            if len(ready) == 1:
                ready[0].outcome = self._failure(ready[0], error)
                return
            # Whose fault it is shows when each runs alone.
            self._log(f"a batch of {len(ready)} failed ({error!r}); running them one by one")
            for task in ready:
                self._run([task])
            return
        for task, found in zip(ready, answers, strict=True):
            assert task.request is not None
            task.outcome = answer.outputs(found, task.request)

    def _encode(self, task: Task) -> None:
        if task.incoming.is_cancelled():
            raise Refusal("the caller cancelled the request before it ran", CANCELLED)
        self._engine.encode(task.job)

    def _guard(self, task: Task, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            task.outcome = self._failure(task, error)

    def _failure(self, task: Task, error: Exception) -> Refusal:
        if isinstance(error, ExecutorRefusal):
            return Refusal(trtllm.EXECUTOR_FAILED.format(task.number, error), error.code)
        if isinstance(error, Refusal):
            return error
        self._log(f"request {task.number} ({task.incoming.request_id()!r}) failed: {error!r}")
        return Refusal(trtllm.EXECUTOR_FAILED.format(task.number, trtllm.FAILED.format(error)))


def _outcome(task: Task) -> Outcome:
    assert task.outcome is not None, f"request {task.number} was never answered"
    return task.outcome

"""Decoder-only requests from Triton to the in-flight batch and back."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from onecard.contract import trtllm
from tensorrtllm_cpu.contract import answer, request
from tensorrtllm_cpu.contract.answer import Answer
from tensorrtllm_cpu.contract.refusal import ExecutorRefusal, Refusal
from tensorrtllm_cpu.contract.request import Array
from tensorrtllm_cpu.contract.settings import Settings
from tensorrtllm_cpu.llm import limits, loading
from tensorrtllm_cpu.llm.guides import Guides
from tensorrtllm_cpu.llm.inflight import InFlight
from tensorrtllm_cpu.llm.inflight import Sequence as Running
from tensorrtllm_cpu.llm.metrics import Metrics
from tensorrtllm_cpu.llm.model import DecoderModel

Outputs = dict[str, Array]
# How long tokens may wait for the next ones, so that they leave together: 10 times a second, which
# reads as flowing. The first token and the end never wait.
STREAM_PERIOD_S = 0.1


class Sender(Protocol):
    """Where a request's responses go."""

    def send(self, outcome: Outputs | Refusal | None, is_final: bool) -> None:
        """Tensors, an error, or nothing but the end."""

    def is_cancelled(self) -> bool: ...


class Incoming(Protocol):
    """What is needed of a Triton request."""

    def inputs(self) -> Sequence[Any]: ...
    def request_id(self) -> str: ...
    def requested_output_names(self) -> Sequence[str]: ...


class LlmService:
    """Serves one decoder-only model until `close`."""

    def __init__(self, settings: Settings, metrics: Metrics, log: Callable[[str], None]) -> None:
        """Load the model.

        Raises:
            ManifestError, SettingsError: as `loading.load` and `Guides`.
        """
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self.model = loading.load(settings)
        self.limits = limits.Limits.of(settings, self.model)
        self._guides = _guides(settings, self.model)
        self._numbers = itertools.count(1)
        self._outbox: queue.SimpleQueue[Outgoing | None] = queue.SimpleQueue()
        self._hurry = threading.Event()  # somebody waits for a first token, or for the end
        self._closing = threading.Event()
        self._loop = InFlight(
            self.model,
            settings.max_batch_size,
            settings.max_queue_size,
            self.limits.max_kv_tokens,
            settings.max_num_tokens,
            log,
        )
        self._threads = [
            threading.Thread(target=target, name=target.__name__, daemon=True)
            for target in (self._send, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def description(self) -> str:
        """What answers, for the log."""
        return (
            f"{self.model.description}; sequences of at most {self.limits.max_seq_len} tokens, "
            f"{self._settings.max_batch_size} at a time"
        )

    def take(self, incoming: Incoming, sender: Sender) -> None:
        """See to one request; every outcome goes to its sender, also a refusal."""
        number = next(self._numbers)
        try:
            self._submit(incoming, sender, number)
        except Exception as error:
            sender.send(self._refusal(number, error), is_final=True)

    def close(self) -> None:
        """End what runs and wait for the last responses."""
        self._loop.close()
        self._closing.set()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join()
        if self._guides is not None:
            self._guides.close()

    def _submit(self, incoming: Incoming, sender: Sender, number: int) -> None:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in incoming.inputs()}
        request_id = incoming.request_id()
        if request.flag(inputs, "stop"):
            if not request_id:
                raise Refusal(trtllm.STOP_NEEDS_ID)
            self._loop.cancel(lambda one: one.request_id == request_id)
            sender.send(None, is_final=True)
            return
        names = frozenset(incoming.requested_output_names())
        asked = request.read(inputs, names, self._settings)
        request.refuse_what_cannot_be_honoured(inputs, limits.HONOURED, limits.NEUTRAL)
        job = limits.admit(asked, self.limits)
        if job.num_new_tokens < asked.num_new_tokens:
            self._log(
                f"request {number}: {len(asked.prompt)} + {asked.num_new_tokens} tokens exceed "
                f"the longest sequence, {self.limits.max_seq_len}; generating at most "
                f"{job.num_new_tokens}"
            )
        outgoing = Outgoing(self._outbox, self._hurry, sender)
        running = Running(job, request_id, number, outgoing)
        if asked.guide is not None:
            assert self._guides is not None  # `admit` has refused guides where there are none
            running.guide = self._guides.submit(asked.guide, running.check)
        self._loop.submit(running)

    def _refusal(self, number: int, error: Exception) -> Refusal:
        if isinstance(error, ExecutorRefusal):
            return Refusal(trtllm.EXECUTOR_FAILED.format(number, error), error.code)
        if isinstance(error, Refusal):
            return error
        self._log(f"request {number} failed: {error!r}")
        return Refusal(trtllm.EXECUTOR_FAILED.format(number, trtllm.FAILED.format(error)))

    def _send(self) -> None:
        """Responses leave on a thread of their own, so that the next step need not wait.

        Every response takes time from the cores that compute the next token: its way leads through
        Triton, `chat` and the network. So tokens that follow a first one go together.
        """
        while (outgoing := self._outbox.get()) is not None:
            if not outgoing.is_urgent:
                self._hurry.wait(STREAM_PERIOD_S)
            self._hurry.clear()
            self._deliver(outgoing)
            while not self._outbox.empty():
                if (outgoing := self._outbox.get()) is None:
                    return
                self._deliver(outgoing)

    def _deliver(self, outgoing: Outgoing) -> None:
        try:
            sequence = outgoing.deliver(self._refusal)
        except Exception as error:  # such as a caller who has gone
            self._log(f"a response could not be sent: {error!r}")
            return
        if sequence is not None:
            asked = sequence.job.request
            self._metrics.finished(len(asked.prompt), len(sequence.generated))

    def _watch(self) -> None:
        """Notice who has gone, and say how busy the loop is."""
        period_s = min(self._settings.cancellation_check_s, self._settings.stats_check_s)
        while not self._closing.wait(period_s):
            gone = [one for one in self._loop.live() if _is_gone(one)]
            if gone:
                self._loop.cancel(lambda one: one in gone)  # noqa: B023 (called at once)
            self._metrics.publish(self._loop.load(), self.model)


class Outgoing:
    """One sequence's responses; `notify` is called by the loop, `deliver` by the sending thread."""

    def __init__(
        self, outbox: queue.SimpleQueue[Outgoing | None], hurry: threading.Event, sender: Sender
    ) -> None:
        self._outbox = outbox
        self._hurry = hurry
        self._sender = sender
        self._sequence: Running | None = None
        self._num_sent = 0
        self._is_queued = False
        self._is_ended = False
        self._sending = threading.Lock()

    def notify(self, sequence: Running) -> None:
        self._sequence = sequence
        if not self._is_queued:  # tokens that wait to be sent go out together
            self._is_queued = True
            self._outbox.put(self)
        if self.is_urgent:
            self._hurry.set()

    @property
    def is_urgent(self) -> bool:
        """Whether nothing was sent yet, or nothing will come after."""
        return self._num_sent == 0 or (self._sequence is not None and self._sequence.is_finished)

    def deliver(self, refusal: Callable[[int, Exception], Refusal]) -> Running | None:
        """Send what is new; the sequence if that was all of it."""
        with self._sending:
            return self._send_new(refusal)

    def _send_new(self, refusal: Callable[[int, Exception], Refusal]) -> Running | None:
        self._is_queued = False  # before reading, so that nothing that comes now is missed
        sequence = self._sequence
        assert sequence is not None
        is_final = sequence.is_finished
        if self._is_ended:
            return None
        self._is_ended = is_final
        if sequence.refusal is not None and is_final:
            self._sender.send(refusal(sequence.number, sequence.refusal), is_final=True)
            return sequence
        outcome = self._outputs(sequence)
        if outcome is not None or is_final:
            self._sender.send(outcome, is_final)
        return sequence if is_final else None

    def is_gone(self) -> bool:
        """Whether nobody waits for the answer any more.

        Never asked beside or after the last response, with which Triton frees what it would look
        at: the whole server would end by a segmentation fault (2.51,
        TRITONBACKEND_ResponseFactoryIsCancelled).
        """
        with self._sending:
            return not self._is_ended and self._sender.is_cancelled()

    def _outputs(self, sequence: Running) -> Outputs | None:
        """The tokens that were not sent yet; None if a stream has none."""
        asked = sequence.job.request
        start, end = self._num_sent, len(sequence.generated)
        if asked.streaming and start == end:
            return None
        if sequence.is_cancelled and not asked.streaming:
            return answer.nothing(asked)  # as NVIDIA's backend answers since TensorRT-LLM 0.16
        self._num_sent = end
        found = Answer(
            (tuple(sequence.generated[start:end]),),
            (sequence.cum_log_prob,),
            (tuple(sequence.log_probs[start:end]),),
        )
        return answer.outputs(found, asked)


def _is_gone(sequence: Running) -> bool:
    caller = sequence.caller
    return isinstance(caller, Outgoing) and caller.is_gone()


def _guides(settings: Settings, model: DecoderModel) -> Guides | None:
    if settings.tokenizer_info is None:
        return None
    return Guides(settings.tokenizer_info, model.vocab_size, settings.num_threads)

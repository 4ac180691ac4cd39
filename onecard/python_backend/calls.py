"""Calls from a model to the language model's engine, streamed and stopped."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

from onecard.guides.admission import Admission
from onecard.llm import generation
from onecard.llm.config import LlmConfig
from onecard.llm.generation import Generation, Piece
from onecard.python_backend import backend
from onecard.python_backend.backend import Response
from onecard.python_backend.streams import Stream

# Triton 2.51 forgets a finished call's responses in a thread that does not hold Python's lock
# (pb_stub.cc, `SendCleanupId`). If nobody else has them by then, their arrays are freed there and
# the heap is corrupt. So they are kept until that is long over.
_KEEP_S = 5.0
_finished: deque[tuple[float, Any]] = deque()
_finished_lock = threading.Lock()


def _keep(responses: Any) -> None:
    now_s = time.monotonic()
    with _finished_lock:
        _finished.append((now_s, responses))
        while _finished[0][0] < now_s - _KEEP_S:
            _finished.popleft()


def llm(config: LlmConfig) -> Callable[[Stream], Llm]:
    """The engine that `config` names, for one stream after another."""
    return partial(Llm, config.llm_model, guides=Admission.for_engine(config.engine_dir))


class Llm:
    """The engine `model` for one stream, as `onecard.llm.generation.Llm`: many calls at once."""

    def __init__(self, model: str, stream: Stream, guides: Admission | None = None) -> None:
        self._model = model
        self._stream = stream
        self._guides = guides

    def stream(self, asked: Generation) -> Generator[Piece, None, None]:
        if self._guides is not None and asked.guide is not None:
            guide = self._guides.ready(asked.guide, self._stream.check)
            asked = dataclasses.replace(asked, guide=guide)
        request_id = str(secrets.randbits(63))  # NVIDIA's backend hashes what is not a number

        def send(inputs: Mapping[str, Any]) -> Generator[Response, None, None]:
            outputs = generation.outputs(asked)
            call = backend.bls_request(self._model, outputs, inputs, request_id)
            responses = call.exec(decoupled=True)
            try:
                yield from responses
            finally:
                for _ in responses:  # to the end, which `stop` has brought near
                    pass
                _keep(responses)

        def stop() -> None:
            for _ in send(generation.stop_tensors(asked)):
                pass

        visit, num_tokens_out = self._stream.visit, 0
        with self._stream.stopping(stop), visit.working(self._model):
            responses = send(generation.to_tensors(asked))
            try:
                for piece in self._pieces(responses, asked):
                    num_tokens_out += len(piece.ids)
                    yield piece
            except GeneratorExit:  # nobody reads on: a call cannot be cancelled, but stopped
                stop()
                raise
            finally:
                responses.close()
                visit.llm_call(len(asked.prompt_ids), num_tokens_out)
        self._stream.check()

    def _pieces(
        self, responses: Generator[Response, None, None], asked: Generation
    ) -> Generator[Piece, None, None]:
        for response in responses:
            try:
                outputs = backend.outputs_of(self._model, response)
            except RuntimeError as error:
                raise generation.explained(error, asked) from error
            piece = generation.from_tensors(
                {name: output.as_numpy() for name, output in outputs.items()}
            )
            if piece.ids:
                yield piece

"""A FAKE onecard server, for faults that a healthy one cannot be made to show.

It speaks real gRPC on a real socket with the stubs that tritonclient ships, and answers every call
with the next step of a script; it transcribes nothing. Everything that a real server can show is
tested against the real one.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.waiting import PATIENCE_S

RESULT: dict[str, Any] = {
    "version": "1",
    "segments": [
        {
            "start": 0.1,
            "end": 1.0,
            "text": "Hello there.",
            "speaker": "SPEAKER_00",
            "avg_logprob": -0.25,
            "words": [
                {"word": "Hello", "start": 0.1, "end": 0.5, "score": 0.9, "speaker": "SPEAKER_00"},
                {"word": "there.", "start": 0.6, "end": 1.0, "score": 0.8, "speaker": "SPEAKER_00"},
            ],
            "aligner": "pocketsphinx",
        }
    ],
    "speakers": ["SPEAKER_00"],
    "language": "en",
    "language_probability": 0.99,
    "duration_s": 2.0,
    "clip": {
        "duration_s": 2.0,
        "sample_rate": 16000,
        "channels": 1,
        "container": "wav",
        "codec": "pcm_s16le",
    },
    "turns": [{"start": 0.0, "end": 1.1, "speaker": "SPEAKER_00"}],
    "account": {
        "duration_s": 2.0,
        "speech_s": 1.5,
        "silence_s": 0.5,
        "transcribed_s": 1.5,
        "dropped_s": 0.0,
        "aligned_s": 0.8,
        "num_chunks": 1,
        "num_words": 2,
        "num_words_interpolated": 0,
        "num_words_untimed": 0,
        "missing_s": 0.0,
        "gaps": [],
        "retried": [],
        "dropped": [],
    },
    "engine": {"recognize": {"model": "none, this is a fake"}},
    "options": {},
    "warnings": [],
}
RESULT["word_segments"] = RESULT["segments"][0]["words"]

PROGRESS: dict[str, Any] = {"event": "progress", "stage": "recognize", "done": 1, "total": 4}
SEGMENTS: dict[str, Any] = {"event": "segments", "segments": RESULT["segments"]}
FINISHED: dict[str, Any] = {"event": "result", "result": RESULT}

DELTAS: list[dict[str, Any]] = [
    {"event": "delta", "text": "Good "},
    {"event": "delta", "text": "day."},
]
USAGE: dict[str, Any] = {
    "event": "usage",
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "total_tokens": 15,
    "context_tokens": 64,
}
DONE: dict[str, Any] = {
    "event": "done",
    "finish_reason": "stop",
    "engine": {"model": "none, this is a fake"},
}
ANSWER = (*DELTAS, USAGE, DONE)
# The same where the option `stream` is false.
WHOLE_ANSWER: dict[str, Any] = {
    **DONE,
    "event": "answer",
    "text": "Good day.",
    "usage": {name: value for name, value in USAGE.items() if name != "event"},
}
INVALID: dict[str, Any] = {
    **DONE,
    "finish_reason": "invalid",
    "problem": "`age` is 200, must be at most 120",
}

VERDICT: dict[str, Any] = {
    "id": "m1",
    "category": "invoice",
    "priority": "high",
    "needs_action": True,
    "action": "pay it",
    "due": "2025-07-14",
    "summary": "An invoice.",
    "reply_draft": None,
    "confidence": 0.75,
    "reason": "It says so.",
    "needs_review": False,
    "review_reason": None,
    "shortened": False,
    "call": 0,
}
TRIAGE_PROGRESS: dict[str, Any] = {
    "event": "progress",
    "done": 0,
    "total": 1,
    "waiting_for": "speech",
}

# A step takes the request and its context and gives the responses of the stream.
Step = Callable[[Any, grpc.ServicerContext], Any]


def raw(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def reply(request: Any, name: str, content: bytes) -> Any:
    """One response of a stream, with one output."""
    response = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
    response.outputs.add(name=name, datatype="BYTES", shape=[1, 1])
    response.raw_output_contents.append(raw(content))
    return service_pb2.ModelStreamInferResponse(infer_response=response)


def fails(status: grpc.StatusCode, details: str) -> Step:
    """A status of gRPC itself, or of a proxy; a model's refusal is `says`, with a code ahead."""
    return lambda request, context: context.abort(status, details)


def says(error_message: str) -> Step:
    """An error in a stream: a text without a status."""
    response = service_pb2.ModelStreamInferResponse(error_message=error_message)
    return lambda request, context: [response]


def hangs(request: Any, context: grpc.ServicerContext) -> None:
    """Until the client gives up, which ends the wait through the context's callback."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(PATIENCE_S)


def events(*documents: dict[str, Any], then: Step | None = None) -> Step:
    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for document in documents:
            yield reply(request, "EVENT", json.dumps(document).encode())
        if then is not None:
            yield from then(request, context) or ()

    return stream


def event(raw_content: bytes) -> Step:
    """One event of any bytes."""
    return lambda request, context: [reply(request, "EVENT", raw_content)]


def verdict(mail_id: str, **changed: Any) -> dict[str, Any]:
    return {"event": "verdict", "verdict": {**VERDICT, "id": mail_id, **changed}}


def summary(*ids: str) -> dict[str, Any]:
    call = {
        "call": 0,
        "ids": list(ids),
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "seconds": 0.5,
    }
    document = {
        "mails": len(ids),
        "decided": len(ids),
        "needs_review": [],
        "calls": [call],
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "seconds": 0.5,
        "waited_s": 0.0,
        "engine": {"model": "none, this is a fake"},
    }
    return {"event": "summary", "summary": document}


def verdicts(*ids: str) -> dict[str, Any]:
    """The one event of a triage where the option `stream` is false."""
    return {
        "event": "verdicts",
        "verdicts": [{**VERDICT, "id": one} for one in ids],
        "summary": summary(*ids)["summary"],
    }


def decides(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    """A verdict for each mail of the request."""
    ids = [mail["id"] for mail in json.loads(content(request))]
    yield from events(*(verdict(one) for one in ids), summary(*ids))(request, context)


def content(request: Any) -> bytes:
    """AUDIO, MESSAGES or EMAILS."""
    return bytes(request.raw_input_contents[0][4:])


def whole(requests: Iterator[Any]) -> Any:
    """The first request, with the content of the parts that follow it."""
    first = next(requests)
    last, found = first, [content(first)]
    while "is_last" in last.parameters and not last.parameters["is_last"].bool_param:
        last = next(requests)
        assert last.parameters["upload"] == first.parameters["upload"]
        assert last.parameters["part"].int64_param == len(found)
        found.append(content(last))
    first.raw_input_contents[0] = raw(b"".join(found))
    return first


class FakeServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers the n-th call with the n-th step of `script`; the last step serves all further ones.

    Attributes:
        requests: the ModelInferRequests received, in order.
        metadata: their gRPC metadata.
        cancelled: set when a call ended before its step did.
        parameters: those in the configuration of every model.
    """

    def __init__(self, *script: Step, port: int = 0, host: str = "127.0.0.1") -> None:
        self.script = list(script)
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.cancelled = threading.Event()
        self.parameters = {"max_seq_len": "64", "max_tokens": "16", "other": "text"}
        unlimited = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8), options=unlimited)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self.url = f"{host}:{self.port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait(PATIENCE_S)

    def options(self, index: int = -1) -> dict[str, Any]:
        """OPTIONS of a request."""
        document: dict[str, Any] = json.loads(self.requests[index].raw_input_contents[1][4:])
        return document

    def audio(self, index: int = -1) -> bytes:
        """AUDIO of a request."""
        return content(self.requests[index])

    def document(self, index: int = -1) -> Any:
        """MESSAGES or EMAILS of a request."""
        return json.loads(content(self.requests[index]))

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:
        request = whole(requests)
        step, done = self._step(request, context)
        yield from step(request, context) or ()
        done.set()

    def ServerLive(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=False)

    def ServerMetadata(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerMetadataResponse(name="fake", version="0.0")

    def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=request.name != "align")

    def ModelConfig(self, request: Any, context: Any) -> Any:
        answer = service_pb2.ModelConfigResponse()
        answer.config.name = request.name
        for name, text in self.parameters.items():
            answer.config.parameters[name].string_value = text
        return answer

    def _step(self, request: Any, context: grpc.ServicerContext) -> tuple[Step, threading.Event]:
        done = threading.Event()
        step = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        context.add_callback(lambda: done.is_set() or self.cancelled.set())
        return step, done


async def cancel_amid(call: Coroutine[Any, Any, Any], server: FakeServer) -> None:
    """Cancels `call` once it is at `server`, which sees that while the client is still open."""
    task = asyncio.create_task(call)
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # seen before the client closes its connection, which would end the call as well
    assert await asyncio.to_thread(server.cancelled.wait, PATIENCE_S)

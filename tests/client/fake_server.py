"""A FAKE onecard server, for faults that a healthy one cannot be made to show.

It speaks real gRPC on a real socket with the stubs that tritonclient ships, and answers every call
with the next step of a script; it transcribes nothing. Everything that a real server can show is
tested against the real one.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

# How long the fake waits for something that a test is sure to cause.
PATIENCE_S = 20.0

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
    """A model's refusal: Triton ends the stream with its status."""
    return lambda request, context: context.abort(status, details)


def says(error_message: str) -> Step:
    """Triton's refusal ahead of any model: a text without a status."""
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


def event(content: bytes) -> Step:
    """One event of any bytes."""
    return lambda request, context: [reply(request, "EVENT", content)]


class FakeServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers the n-th call with the n-th step of `script`; the last step serves all further ones.

    Attributes:
        requests: the ModelInferRequests received, in order.
        metadata: their gRPC metadata.
        cancelled: set when a call ended before its step did.
    """

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.cancelled = threading.Event()
        unlimited = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8), options=unlimited)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait(PATIENCE_S)

    def options(self) -> dict[str, Any]:
        """OPTIONS of the last request."""
        content: dict[str, Any] = json.loads(self.requests[-1].raw_input_contents[1][4:])
        return content

    def audio(self) -> bytes:
        """AUDIO of the last request."""
        return bytes(self.requests[-1].raw_input_contents[0][4:])

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:
        request = next(requests)
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

    def _step(self, request: Any, context: grpc.ServicerContext) -> tuple[Step, threading.Event]:
        done = threading.Event()
        step = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        context.add_callback(lambda: done.is_set() or self.cancelled.set())
        return step, done


class Cutter:
    """A TCP relay to a server that can drop its connections as a failing network does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._listener.close()
        for one in self._sockets:
            _reset(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_relay, args=(source, sink), daemon=True).start()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass


def _reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.shutdown(socket.SHUT_RDWR)  # wakes the relay, which still reads from it
    one.close()

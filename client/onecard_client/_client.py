"""The blocking client.

It knows how to make calls, wait, retry and cancel; `_wire` knows what the messages mean.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from onecard_client import _channel, _wire
from onecard_client._errors import (
    BadResponse,
    CallContext,
    OnecardError,
    from_rpc,
)
from onecard_client._retry import Attempts
from onecard_client._source import AudioSource, read_audio
from onecard_client.events import Event, Progress
from onecard_client.health import Health
from onecard_client.transcript import Transcript

# An hour: at twice real time on a small CPU, two hours of audio.
DEFAULT_TIMEOUT_S = 3600.0
HEALTH_TIMEOUT_S = 5.0


class Client:
    """A connection to a onecard server; may be shared by threads.

        with Client("localhost:8001") as client:
            transcript = client.transcribe("talk.wav", language="en", max_speakers=3)

    Args:
        url: `host:port` of Triton's gRPC service; `grpcs://host:port` for TLS.
        headers: sent with every call, such as a token that a proxy wants.
        root_certificates: PEM file to verify the server with; None for gRPC's own list.
        max_retries: how often a call is made again when it ended in `Unavailable`; None for as
            long as `timeout_s` allows while a server answers, and 4 times where none does.
    """

    def __init__(
        self,
        url: str = _channel.DEFAULT_URL,
        *,
        headers: Mapping[str, str] | None = None,
        root_certificates: str | Path | None = None,
        max_retries: int | None = None,
    ) -> None:
        address = _channel.Address.parse(url)
        self._target = address.target
        self._metadata = _channel.metadata(headers)
        self._max_retries = max_retries
        self._channel = _channel.channel(address, root_certificates)
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def transcribe(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> Transcript:
        """Transcribes `audio` and waits for the whole transcript.

        Args:
            audio: a path, the bytes of a file, or a file object opened as binary; any container
                that FFmpeg knows, or raw PCM with `encoding`, `sample_rate` and `channels`.
            timeout_s: time for everything, retries included; the server stops when it is over.
                None waits for ever.
            request_id: a name for the request in the server's log; made up if not given.
            options: WhisperX's names, such as `language`, `task`, `min_speakers`; the server
                refuses what it does not know and says what it knows.

        Raises:
            OnecardError: one of its subclasses; see `onecard_client._errors`.
            OSError: the audio file cannot be read.
        """
        context = self._context(timeout_s, request_id)
        transcript = None
        for event in self._attempt(audio, options, context, repeats_content=True):
            if isinstance(event, Transcript):
                transcript = event
        if transcript is None:
            raise _unfinished(context)
        return transcript

    def transcribe_stream(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> Generator[Event, None, None]:
        """Transcribes `audio` and yields events: Progress, Segments, and the Transcript last.

        The request is sent when the first event is asked for. Closing the generator, or leaving a
        loop over it, cancels the request. Arguments and errors are those of `transcribe`; once more
        than Progress was yielded, nothing is retried.
        """
        context = self._context(timeout_s, request_id)
        return self._attempt(audio, options, context, repeats_content=False)

    def health(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Health:
        """Asks the server how it is; not retried, for the answer is about now.

        Raises:
            ConnectionFailed: no server answers.
        """
        context = self._context(timeout_s, None)
        arguments = {"timeout": timeout_s, "metadata": self._metadata}
        stub = self._open_stub()
        try:
            live = stub.ServerLive(service_pb2.ServerLiveRequest(), **arguments)
            ready = stub.ServerReady(service_pb2.ServerReadyRequest(), **arguments)
            metadata = stub.ServerMetadata(service_pb2.ServerMetadataRequest(), **arguments)
            models = [
                stub.ModelReady(service_pb2.ModelReadyRequest(name=name), **arguments)
                for name in _wire.MODELS
            ]
            return _wire.health(live, ready, metadata, models)
        except grpc.RpcError as error:
            raise from_rpc(error, context) from None

    def close(self) -> None:
        """Ends the connection; calls that are under way are cancelled."""
        self._stub = None
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _context(self, timeout_s: float | None, request_id: str | None) -> CallContext:
        return CallContext(self._target, timeout_s, request_id or uuid.uuid4().hex)

    def _open_stub(self) -> Any:
        if self._stub is None:
            raise RuntimeError("the client is closed, must be open for a call; make a new one")
        return self._stub

    def _attempt(
        self,
        audio: AudioSource,
        options: Mapping[str, Any],
        context: CallContext,
        *,
        repeats_content: bool,
    ) -> Generator[Event, None, None]:
        """The events of the first attempt that succeeds, after those of the ones that did not.

        Args:
            repeats_content: whether to try again even if more than Progress was yielded.
        """
        attempts = Attempts(context, self._max_retries)
        request = _request(audio, options, context)
        is_final = False
        while True:
            try:
                for event in self._events(request, context, attempts):
                    is_final = is_final or not (repeats_content or isinstance(event, Progress))
                    yield event
                return
            except OnecardError as error:
                if is_final:
                    raise
                time.sleep(attempts.delay_s(error))

    def _events(self, request: Any, context: CallContext, attempts: Attempts) -> Iterator[Event]:
        call = self._open_stub().ModelStreamInfer(
            iter([request]),
            timeout=attempts.remaining_s(),
            metadata=self._metadata + _wire.STREAM_METADATA,
        )
        has_result = False
        try:
            for response in call:
                event = _wire.event(response, context)
                has_result = has_result or isinstance(event, Transcript)
                if event is not None:
                    yield event
        except grpc.RpcError as error:
            if not has_result:
                raise from_rpc(error, context) from None
        finally:
            call.cancel()  # nothing to a call that ended; the end of one that Ctrl-C left
        if not has_result:
            raise _unfinished(context)


def _request(audio: AudioSource, options: Mapping[str, Any], context: CallContext) -> Any:
    return _wire.transcribe_request(read_audio(audio), options, context.request_id or "")


def _unfinished(context: CallContext) -> BadResponse:
    return BadResponse(
        "the server's stream ended without a result, must end with one; look for the request id "
        f"`{context.request_id}` in its log",
        request_id=context.request_id,
    )

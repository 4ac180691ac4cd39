"""The client for asyncio; the same names, arguments and defaults as the blocking one.

It knows how to make calls, wait, retry and cancel; `_wire` knows what the messages mean.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from onecard_client import _channel, _wire
from onecard_client._client import DEFAULT_TIMEOUT_S, HEALTH_TIMEOUT_S, _request, _unfinished
from onecard_client._errors import CallContext, OnecardError, from_rpc
from onecard_client._retry import Attempts
from onecard_client._source import AudioSource
from onecard_client.events import Event, Progress
from onecard_client.health import Health
from onecard_client.transcript import Transcript


class AsyncClient:
    """A connection to a onecard server; belongs to the event loop that made its first call.

        async with AsyncClient("localhost:8001") as client:
            transcript = await client.transcribe("talk.wav", language="en", max_speakers=3)

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
        self._address = _channel.Address.parse(url)
        self._metadata = _channel.metadata(headers)
        self._root_certificates = root_certificates
        self._max_retries = max_retries
        self._channel: Any = None
        self._stub: Any = None
        self._closed = False

    async def transcribe(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> Transcript:
        """As `Client.transcribe`. Cancelling the task cancels the request on the server."""
        context = self._context(timeout_s, request_id)
        transcript = None
        async for event in self._attempt(audio, options, context, repeats_content=True):
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
    ) -> AsyncGenerator[Event, None]:
        """As `Client.transcribe_stream`.

        Leaving an `async for` early does not close the generator at once; `contextlib.aclosing`
        does, and with it cancels the request.
        """
        context = self._context(timeout_s, request_id)
        return self._attempt(audio, options, context, repeats_content=False)

    async def health(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Health:
        """As `Client.health`."""
        context = self._context(timeout_s, None)
        arguments = {"timeout": timeout_s, "metadata": self._metadata}
        stub = self._open_stub()
        try:
            live = await stub.ServerLive(service_pb2.ServerLiveRequest(), **arguments)
            ready = await stub.ServerReady(service_pb2.ServerReadyRequest(), **arguments)
            metadata = await stub.ServerMetadata(service_pb2.ServerMetadataRequest(), **arguments)
            models = [
                await stub.ModelReady(service_pb2.ModelReadyRequest(name=name), **arguments)
                for name in _wire.MODELS
            ]
            return _wire.health(live, ready, metadata, models)
        except grpc.RpcError as error:
            raise from_rpc(error, context) from None

    async def close(self) -> None:
        """Ends the connection; calls that are under way are cancelled."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _context(self, timeout_s: float | None, request_id: str | None) -> CallContext:
        return CallContext(self._address.target, timeout_s, request_id or uuid.uuid4().hex)

    def _open_stub(self) -> Any:
        """Made at the first call, because a channel belongs to the loop that runs then."""
        if self._closed:
            raise RuntimeError("the client is closed, must be open for a call; make a new one")
        if self._stub is None:
            self._channel = _channel.aio_channel(self._address, self._root_certificates)
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self._stub

    async def _attempt(
        self,
        audio: AudioSource,
        options: Mapping[str, Any],
        context: CallContext,
        *,
        repeats_content: bool,
    ) -> AsyncGenerator[Event, None]:
        """As `Client._attempt`."""
        attempts = Attempts(context, self._max_retries)
        # in a thread, because reading a large file would hold up the event loop
        request = await asyncio.to_thread(_request, audio, options, context)
        is_final = False
        while True:
            try:
                async with aclosing(self._events(request, context, attempts)) as events:
                    async for event in events:
                        is_final = is_final or not (repeats_content or isinstance(event, Progress))
                        yield event
                return
            except OnecardError as error:
                if is_final:
                    raise
                await asyncio.sleep(attempts.delay_s(error))

    async def _events(
        self, request: Any, context: CallContext, attempts: Attempts
    ) -> AsyncGenerator[Event, None]:
        call = self._open_stub().ModelStreamInfer(
            _once(request),
            timeout=attempts.remaining_s(),
            metadata=self._metadata + _wire.STREAM_METADATA,
        )
        has_result = False
        try:
            async for response in call:
                event = _wire.event(response, context)
                has_result = has_result or isinstance(event, Transcript)
                if event is not None:
                    yield event
        except grpc.RpcError as error:
            if not has_result:
                raise from_rpc(error, context) from None
        finally:
            call.cancel()
        if not has_result:
            raise _unfinished(context)


async def _once(request: Any) -> AsyncIterator[Any]:
    yield request

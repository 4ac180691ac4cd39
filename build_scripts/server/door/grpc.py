"""gRPC in front of Triton's gRPC: each request's model is read, and its bytes go on as they are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from functools import partial
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from build_scripts.server.door import rules
from build_scripts.server.door.rules import Malformed, Refused, Rules
from onecard.contract import pipeline

# How Triton wants the header of a restricted API named (grpc_server.cc).
_PREFIX = "triton-grpc-protocol-"
_READY = "/inference.GRPCInferenceService/ServerReady"
_INDEX = "/inference.GRPCInferenceService/RepositoryIndex"
_UNLOADED = "unloaded"  # why a model is not ready whose unloading somebody asked for
READY_S = 2.0
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
SERVER_OPTIONS = [
    *UNLIMITED,
    ("grpc.so_reuseport", 0),
    # Compressed requests would be unpacked without a limit: 2 MB to 2 GB.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.max_connection_idle_ms", 600_000),
    # Callers then ask their names again, and find servers that were added; calls run to their end.
    ("grpc.max_connection_age_ms", 600_000),
]
CHANNEL_OPTIONS = [
    *UNLIMITED,
    ("grpc.enable_http_proxy", 0),
    # Triton that was started again is found at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
]
# Where a call ends that was refused, and by which status its caller knows.
_STATUS: dict[type[Exception], grpc.StatusCode] = {
    Refused: grpc.StatusCode.PERMISSION_DENIED,
    Malformed: grpc.StatusCode.INVALID_ARGUMENT,
}


_abandoned: set[asyncio.Task[None]] = set()


class GrpcDoor(grpc.GenericRpcHandler):
    """Handles every method: unary calls are streams of one message.

    Args:
        target: Triton's own, `127.0.0.1:port`.
        on_demand: models that come and go, so that Triton is told to leave models out of its
            readiness; the others are looked at here.
    """

    def __init__(self, target: str, guard: Rules, on_demand: Collection[str] = ()) -> None:
        self._guard = guard
        self._on_demand = frozenset(on_demand)
        self._channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._metadata = ((_PREFIX + pipeline.OWNER_HEADER, guard.secret),)

    async def close(self) -> None:
        await self._channel.close()

    async def is_ready(self) -> bool:
        """Whether Triton's gRPC answers; its HTTP may do so first."""
        ask = self._channel.unary_unary(_READY)
        try:
            await ask(b"", timeout=READY_S, metadata=self._metadata, wait_for_ready=True)
        except grpc.RpcError:
            return False
        return await self._has_models()

    async def _has_models(self) -> bool:
        """Whether every model answers that is always there, as Triton's strict readiness has it."""
        if not self._on_demand:
            return True  # Triton looks itself
        ask = self._channel.unary_unary(_INDEX)
        try:
            answer = await ask(b"", timeout=READY_S, metadata=self._metadata)
            index = service_pb2.RepositoryIndexResponse.FromString(answer)
        except (grpc.RpcError, DecodeError):
            return False
        return all(
            model.state in ("READY", "") or model.reason == _UNLOADED  # "": never asked for
            for model in index.models
            if model.name not in self._on_demand
        )

    def service(self, details: Any) -> Any:
        """What answers a call: the same for every method."""
        given = dict(details.invocation_metadata)
        secret = given.get(pipeline.OWNER_HEADER)
        is_owner = self._guard.is_owner(secret if isinstance(secret, str) else None)
        metadata = (*self._metadata, *rules.trace_of(given).items())
        return grpc.stream_stream_rpc_method_handler(
            partial(self._handle, details.method, is_owner, metadata)
        )

    async def _handle(
        self,
        method: str,
        is_owner: bool,
        metadata: tuple[tuple[str, str], ...],
        requests: AsyncIterator[bytes],
        context: Any,
    ) -> None:
        passage = _Passage(method, is_owner)
        try:
            if not is_owner:
                rules.verify_method(method)
            sent = passage.verified(requests)
            first = await anext(sent, None)  # who may not ask is told so though Triton is away
            if method == _READY and not await self._has_models():
                await context.write(
                    service_pb2.ServerReadyResponse(ready=False).SerializeToString()
                )
                return
            call = self._channel.stream_stream(method)(metadata=metadata)
            await passage.run(call, first, sent, context)
        except (Refused, Malformed) as refusal:
            await context.abort(_STATUS[type(refusal)], rules.told(str(refusal)))
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), rules.told(error.details() or ""))


class _Passage:
    """One call on its way through."""

    def __init__(self, method: str, is_owner: bool) -> None:
        self._method = method
        self._is_owner = is_owner
        self._refusal: Exception | None = None
        self._is_for_ensemble = False
        self._reading: asyncio.Future[Any] | None = None

    async def verified(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The requests, each looked at first. Raises Refused or Malformed."""
        async for data in requests:
            model = rules.model_of(self._method, data)
            if not self._is_owner:
                rules.verify_called(self._method, model)
            self._is_for_ensemble = model == pipeline.ENSEMBLE
            yield data

    async def run(
        self, call: Any, first: bytes | None, rest: AsyncIterator[bytes], context: Any
    ) -> None:
        """Raises Refused or Malformed for a request, AioRpcError for how Triton ended the call."""
        sending = asyncio.ensure_future(self._send(call, first, rest))
        try:
            while (answer := await self._read(call)) is not grpc.aio.EOF:
                await context.write(_scrubbed(self._method, answer))
            if self._refusal is not None:
                raise self._refusal
        except asyncio.CancelledError:
            if self._refusal is None:  # the caller is gone
                raise
            raise self._refusal from None
        finally:
            # A call that has ended is not cancelled: Triton 2.51 can count a request as running
            # for ever whose stream is cancelled between its error and its end.
            if call.done():
                sending.cancel()
            else:
                self._abandon(call, sending)

    async def _read(self, call: Any) -> Any:
        """The next answer, or EOF; a caller who goes away meanwhile does not cancel `call`."""
        self._reading = asyncio.ensure_future(call.read())
        return await asyncio.shield(self._reading)

    def _abandon(self, call: Any, sending: asyncio.Future[None]) -> None:
        """End a call that nobody waits for; an ensemble's unary one is left to end by itself,
        for cancelling several crashes Triton 2.51 (server issues #7368 and #8034)."""
        if not (self._is_for_ensemble and self._method.endswith("/ModelInfer")):
            sending.cancel()
            call.cancel()
            if self._reading is not None:
                self._reading.add_done_callback(_heard)
            return
        task = asyncio.ensure_future(_drained(call, self._reading, sending))
        _abandoned.add(task)
        task.add_done_callback(_abandoned.discard)

    async def _send(self, call: Any, first: bytes | None, rest: AsyncIterator[bytes]) -> None:
        try:
            if first is not None:
                await call.write(first)
                async for data in rest:
                    await call.write(data)
            await call.done_writing()
        except (Refused, Malformed) as refusal:
            self._refusal = refusal
            call.cancel()
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            pass  # the call has ended, and whoever reads it is told why


def _heard(reading: asyncio.Future[Any]) -> None:
    """How a call ended that nobody waits for is nobody's concern."""
    if not reading.cancelled():
        reading.exception()


async def _drained(
    call: Any, reading: asyncio.Future[Any] | None, sending: asyncio.Future[None]
) -> None:
    """Read a call to its end. What is still being sent goes on: a write that is cancelled cancels
    its call (grpc.aio)."""
    with contextlib.suppress(grpc.RpcError, asyncio.CancelledError):
        if reading is not None:
            await reading
        while await call.read() is not grpc.aio.EOF:
            pass
    sending.cancel()


def _scrubbed(method: str, answer: bytes) -> bytes:
    """Triton's answer; of an error in a stream, whose status is OK, without regions' names."""
    if not method.endswith("/ModelStreamInfer") or not rules.has_region(answer):
        return answer
    with contextlib.suppress(DecodeError):  # what Triton sent, and is no answer, goes on as it is
        found = service_pb2.ModelStreamInferResponse.FromString(answer)
        if found.error_message:
            found.error_message = rules.scrubbed(found.error_message)
            return bytes(found.SerializeToString())
    return answer

"""A connection for asyncio; the same steps as the blocking one, in the same order.

It knows how a call is made; `_wire` knows what the messages mean and `_aio` which there are.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from tritonclient.grpc import service_pb2_grpc

from onecard_client import _channel, _wire
from onecard_client._errors import CallContext, OnecardError, from_rpc, unfinished
from onecard_client._retry import Attempts
from onecard_client._wire import E, Model, Requests

S = TypeVar("S", bound="AsyncConnection")


class AsyncConnection:
    """What every call of a client shares; `AsyncClient` has the arguments' meaning."""

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

    async def close(self) -> None:
        """Ends the connection; calls that are under way are cancelled."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self: S) -> S:
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

    async def _ask(self, method: str, request: Any, context: CallContext) -> Any:
        """As `Connection._ask`."""
        try:
            call = getattr(self._open_stub(), method)
            return await call(request, timeout=context.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error, context) from None

    async def _stream(
        self,
        model: Model[E],
        read: Callable[[], bytes],
        options: Mapping[str, Any],
        context: CallContext,
        *,
        repeats_all: bool = False,
    ) -> AsyncGenerator[E, None]:
        """As `Connection._stream`."""
        attempts = Attempts(context, self._max_retries)
        # in a thread, because reading a large file would hold up the event loop
        content = await asyncio.to_thread(read)
        requests = _wire.requests(model, content, options, context.request_id or "")
        is_final = False
        while True:
            try:
                async with aclosing(self._events(model, requests, context, attempts)) as events:
                    async for event in events:
                        repeats = repeats_all or isinstance(event, _wire.REPEATABLE)
                        is_final = is_final or not repeats
                        yield event
                return
            except OnecardError as error:
                if is_final:
                    raise
                await asyncio.sleep(attempts.delay_s(error))

    async def _events(
        self, model: Model[E], requests: Requests, context: CallContext, attempts: Attempts
    ) -> AsyncGenerator[E, None]:
        # Raised at the end of the stream, which follows at once. Triton 2.51 can count a request as
        # running for ever whose stream is cancelled between its error and its end.
        failure: OnecardError | None = None

        async def sent() -> AsyncIterator[Any]:
            for request in takewhile(lambda _: failure is None, requests()):
                yield request

        call = self._open_stub().ModelStreamInfer(
            sent(),
            timeout=attempts.remaining_s(),
            metadata=self._metadata,
        )
        is_whole = False
        try:
            async for response in call:
                failure = failure or _wire.error(response, context)
                event = None if failure else _wire.event(model, response, context)
                is_whole = is_whole or isinstance(event, model.last)
                if event is not None:
                    yield event
        except grpc.RpcError as error:
            if not is_whole:
                raise (failure or from_rpc(error, context)) from None
        finally:
            call.cancel()
        if not is_whole:
            raise failure or unfinished(context)

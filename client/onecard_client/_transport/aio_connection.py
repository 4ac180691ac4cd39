"""A connection for asyncio; the same steps as the blocking one, in the same order."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from tritonclient.grpc import service_pb2_grpc

from onecard_client._errors import CallContext, OnecardError, from_rpc, unfinished
from onecard_client._transport import channel, wire
from onecard_client._transport.content import Content, content
from onecard_client._transport.retry import Acquaintance, Attempts
from onecard_client._transport.tracing import Metadata, traced
from onecard_client._transport.wire import E, Model, Requests

S = TypeVar("S", bound="AsyncConnection")


class AsyncConnection:
    """The part of a client that all calls share; `AsyncClient` documents the arguments."""

    def __init__(
        self,
        url: str = channel.DEFAULT_URL,
        *,
        headers: Mapping[str, str] | None = None,
        root_certificates: str | Path | None = None,
        certificate_chain: str | Path | None = None,
        private_key: str | Path | None = None,
        max_retries: int | None = None,
        on_outage: Callable[[OnecardError], object] | None = None,
    ) -> None:
        self._address = channel.Address.parse(url)
        self._metadata = channel.metadata(headers)
        self._certificates = channel.Certificates(root_certificates, certificate_chain, private_key)
        self._max_retries = max_retries
        self._acquaintance = Acquaintance(on_outage=on_outage)
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
            self._channel = channel.aio_channel(self._address, self._certificates)
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        return self._stub

    async def _ask(self, method: str, request: Any, context: CallContext) -> Any:
        """Makes one call like `Connection._ask`."""
        try:
            call = getattr(self._open_stub(), method)
            answer = await call(request, timeout=context.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error, context) from None
        self._acquaintance.has_answered = True
        return answer

    async def _stream(
        self,
        model: Model[E],
        read: Callable[[], bytes | Content],
        options: Mapping[str, Any],
        context: CallContext,
        *,
        repeats_all: bool = False,
    ) -> AsyncGenerator[E, None]:
        """Yields events like `Connection._stream`."""
        attempts = Attempts(context, self._max_retries, acquaintance=self._acquaintance)
        # in a thread, because a pipe or a slow disk would hold up the event loop
        with (
            content(await asyncio.to_thread(read)) as sent,
            traced(model.name, context, self._metadata) as metadata,
        ):
            await sent.reach(wire.MORE_THAN_A_PART)
            requests = wire.requests(model, sent, options, context.request_id or "")
            is_final = False
            while sent.failure is None:
                try:
                    events = self._events(model, requests, sent, context, attempts, metadata)
                    async with aclosing(events):
                        async for event in events:
                            repeats = repeats_all or isinstance(event, wire.REPEATABLE)
                            is_final = is_final or not repeats
                            yield event
                    return
                except OnecardError as error:
                    if sent.failure is None and is_final:
                        raise
                    if sent.failure is None:
                        await asyncio.sleep(attempts.delay_s(error))
            raise sent.failure

    async def _events(
        self,
        model: Model[E],
        requests: Requests,
        content: Content,
        context: CallContext,
        attempts: Attempts,
        metadata: Metadata,
    ) -> AsyncGenerator[E, None]:
        # Raised at the end of the stream, which follows at once. Triton 2.51 can count a request as
        # running indefinitely whose stream is cancelled between its error and its end.
        failure: OnecardError | None = None
        has_failed = asyncio.Event()

        async def sent() -> AsyncIterator[Any]:
            parts, start = requests(), 0
            # in a thread for the same reason as above
            while failure is None and (part := await asyncio.to_thread(next, parts, None)):
                yield part
                start += wire.PART_BYTES
                # what has failed ends the stream at once, which Triton does not do by itself
                await _first_of(content.reach(start + wire.MORE_THAN_A_PART), has_failed.wait())
            if content.failure is not None:
                call.cancel()

        call = self._open_stub().ModelStreamInfer(
            sent(),
            timeout=attempts.remaining_s(),
            metadata=metadata,
        )
        is_whole = False
        try:
            async for response in call:
                self._acquaintance.has_answered = True
                failure = failure or wire.error(response, context)
                if failure is not None:
                    has_failed.set()
                event = None if failure else wire.event(model, response, context)
                is_whole = is_whole or isinstance(event, model.last)
                if event is not None:
                    yield event
        except grpc.RpcError as error:
            if not is_whole:
                raise (failure or from_rpc(error, context)) from None
        except asyncio.CancelledError:
            if content.failure is None:  # else `sent` cancelled the call, and nobody this task
                raise
            raise content.failure from None
        finally:
            call.cancel()
        if not is_whole:
            raise failure or unfinished(context)


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them does, and cancels the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()

"""A blocking connection: one address, calls over it, waits, retries, cancellation."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from tritonclient.grpc import service_pb2_grpc

from onecard_client._errors import CallContext, OnecardError, from_rpc, unfinished
from onecard_client._transport import channel, wire
from onecard_client._transport.content import Content, content
from onecard_client._transport.interrupt import held_back
from onecard_client._transport.retry import Acquaintance, Attempts
from onecard_client._transport.tracing import Metadata, traced
from onecard_client._transport.wire import E, Model, Requests

S = TypeVar("S", bound="Connection")


class Connection:
    """The part of a client that all calls share; `Client` documents the arguments."""

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
        address = channel.Address.parse(url)
        self._target = address.target
        self._metadata = channel.metadata(headers)
        self._max_retries = max_retries
        self._acquaintance = Acquaintance(on_outage=on_outage)
        certificates = channel.Certificates(root_certificates, certificate_chain, private_key)
        self._channel = channel.channel(address, certificates)
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        """Ends the connection; calls that are under way are cancelled."""
        self._stub = None
        with held_back():
            self._channel.close()

    def __enter__(self: S) -> S:
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

    def _ask(self, method: str, request: Any, context: CallContext) -> Any:
        """One call that is neither streamed nor retried."""
        ask = getattr(self._open_stub(), method)
        with held_back():
            call = ask.future(request, timeout=context.timeout_s, metadata=self._metadata)
        try:
            with held_back(call.cancel):
                answer = call.result()
        except grpc.RpcError as error:
            raise from_rpc(error, context) from None
        self._acquaintance.has_answered = True
        return answer

    def _stream(
        self,
        model: Model[E],
        read: Callable[[], bytes | Content],
        options: Mapping[str, Any],
        context: CallContext,
        *,
        repeats_all: bool = False,
    ) -> Generator[E, None, None]:
        """The events of the first attempt that succeeds, after those of the ones that did not.

        Args:
            repeats_all: whether to try again even if more than progress was yielded.

        Raises:
            OSError: the content cannot be read to its end.
        """
        attempts = Attempts(context, self._max_retries, acquaintance=self._acquaintance)
        with content(read()) as sent, traced(model.name, context, self._metadata) as metadata:
            requests = wire.requests(model, sent, options, context.request_id or "")
            is_final = False
            while sent.failure is None:
                try:
                    events = self._events(model, requests, sent, context, attempts, metadata)
                    for event in events:
                        repeats = repeats_all or isinstance(event, wire.REPEATABLE)
                        is_final = is_final or not repeats
                        yield event
                    return
                except OnecardError as error:
                    if sent.failure is None and is_final:
                        raise
                    if sent.failure is None:
                        time.sleep(attempts.delay_s(error))
            raise sent.failure

    def _events(
        self,
        model: Model[E],
        requests: Requests,
        content: Content,
        context: CallContext,
        attempts: Attempts,
        metadata: Metadata,
    ) -> Generator[E, None, None]:
        open_stream = self._open_stub().ModelStreamInfer
        timeout_s = attempts.remaining_s()
        # Raised at the end of the stream, which follows at once. Triton 2.51 can count a request as
        # running indefinitely whose stream is cancelled between its error and its end.
        failure: OnecardError | None = None
        sent = takewhile(lambda _: failure is None, requests())
        with held_back():
            call = open_stream(sent, timeout=timeout_s, metadata=metadata)
            content.on_failure(call.cancel)
        is_whole = False
        try:
            for response in _responses(call):
                self._acquaintance.has_answered = True
                failure = failure or wire.error(response, context)
                event = None if failure else wire.event(model, response, context)
                is_whole = is_whole or isinstance(event, model.last)
                if event is not None:
                    yield event
        except grpc.RpcError as error:
            if not is_whole:
                raise (failure or from_rpc(error, context)) from None
        finally:
            with held_back():
                call.cancel()  # nothing to a call that ended
        if not is_whole:
            raise failure or unfinished(context)


def _responses(call: Any) -> Iterator[Any]:
    """The responses of `call`. Raises: grpc.RpcError."""
    while True:
        with held_back(call.cancel):
            response = next(call, None)
        if response is None:
            return
        yield response

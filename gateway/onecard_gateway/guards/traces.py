"""Requests as spans of OpenTelemetry's, in the trace that W3C's headers of the caller name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onecard_gateway.guards.request_log import CLIENT_LEFT, facts

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# What machines ask all day.
UNTRACED = frozenset({"/health", "/readyz", "/metrics"})
LACK = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry's SDK is not installed, so the gateway "
    "sends no spans of its own; `pip install 'onecard[tracing]'`"
)


def provider(environment: Mapping[str, str]) -> Any:
    """What sends spans to the collector that OpenTelemetry's variables name; None for none.

    Raises ImportError, in words, where one is named and the SDK is not installed.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ImportError(LACK) from error
    found = TracerProvider(resource=Resource.create({"service.name": "onecard-gateway"}))
    found.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return found


class Traces:
    """Makes each request a span, and the current one for whoever calls a server in it.

    Without the SDK there is no span, and the caller's trace goes on to the server as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tracer = trace.get_tracer("onecard_gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        headers = dict(Headers(scope=scope).items())
        above = TraceContextTextMapPropagator().extract(headers, context.Context())
        span = self._tracer.start_span(scope["method"], above, kind=trace.SpanKind.SERVER)
        status = CLIENT_LEFT

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = context.attach(trace.set_span_in_context(span, above))
        try:
            await self._app(scope, receive, answer)
        finally:
            context.detach(token)
            _end(span, scope, status)


def _end(span: trace.Span, scope: Scope, status: int) -> None:
    route = getattr(scope.get("route"), "path", "none")  # a path may be anything
    span.update_name(f"{scope['method']} {route}")
    span.set_attributes({
        "http.request.method": scope["method"],
        "http.route": route,
        "http.response.status_code": status,
        "onecard.id": facts(Request(scope)).request_id,
    })  # fmt: skip
    if status >= 500:
        span.set_status(trace.StatusCode.ERROR)
    span.end()

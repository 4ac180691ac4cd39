"""Requests as OpenTelemetry spans, where its SDK is installed and a collector is named.

A request is a span, and each of its calls to other models is one below it. Its trace is the
caller's, where Triton knows that; else the request's id is the trace's, if it has that form.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from onecard.metrics.record import Record

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
LACK = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry's SDK is not installed, so the models "
    "send no spans; `pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http` into "
    "the server's environment"
)


def endpoint(environment: Mapping[str, str]) -> str:
    """The URL that takes traces, by OpenTelemetry's own variables; empty where none is named."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    general = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
    return environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (
        f"{general}/v1/traces" if general else ""
    )


def trace_id(request_id: str) -> int:
    """The trace of a request that came with none: its id read as one, or a digest of it."""
    if not _TRACE_ID.fullmatch(request_id) or not int(request_id, 16):
        request_id = hashlib.sha256(request_id.encode(errors="replace")).hexdigest()[:32]
    return int(request_id, 16)


def exporter(warn: Callable[[str], None]) -> Callable[[Record], None] | None:
    """Sends each record to the collector, in the background; None where that cannot be."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        warn(LACK)
        return None
    provider = TracerProvider(
        resource=Resource.create({"service.name": "onecard"}), id_generator=_generator()
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider.get_tracer("onecard"))


_next_trace_id: list[int] = []  # of the span that is being made, under the lock of `Spans`


def _generator() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):  # type: ignore[misc,unused-ignore]
        """The trace that `Spans` names, else a random one."""

        def generate_trace_id(self) -> int:
            return _next_trace_id.pop() if _next_trace_id else int(super().generate_trace_id())

    return Ids()


class Spans:
    """Makes the spans of records by `tracer`, of OpenTelemetry's SDK."""

    def __init__(self, tracer: Any) -> None:
        self._tracer = tracer
        self._lock = threading.Lock()

    def __call__(self, record: Record) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = json.loads(record.origin.trace) if record.origin.trace else {}
        context = TraceContextTextMapPropagator().extract(carrier)
        has_parent = trace.get_current_span(context).get_span_context().is_valid
        line = record.line()
        with self._lock:
            if not has_parent and record.origin.request_id:
                _next_trace_id.append(trace_id(record.origin.request_id))
            span = self._tracer.start_span(
                record.model, context, start_time=_ns(record.accepted_s), attributes=_flat(line)
            )
            _next_trace_id.clear()
        _mark(span, record.outcome == "failed")
        below = trace.set_span_in_context(span, context)
        for one in record.spans:
            child = self._tracer.start_span(
                one.stage, below, start_time=_ns(record.accepted_s + one.from_s)
            )
            _mark(child, one.has_failed)
            child.end(_ns(record.accepted_s + one.until_s))
        span.end(_ns(record.accepted_s + record.seconds))


def _mark(span: Any, has_failed: bool) -> None:
    from opentelemetry.trace import StatusCode

    if has_failed:
        span.set_status(StatusCode.ERROR)


def _flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a span, from what a log has of its request."""
    left_out = ("time", "level", "source", "stages")
    return {f"onecard.{key}": value for key, value in line.items() if key not in left_out}


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)

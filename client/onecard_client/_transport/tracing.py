"""A call as a span of OpenTelemetry's, where the application uses that, told to the server in the
headers of W3C's trace context."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from onecard_client._errors import CallContext, OnecardError

Metadata = tuple[tuple[str, str], ...]
TRACEPARENT = "traceparent"
_API = "opentelemetry.trace"


@contextmanager
def traced(
    model: str, context: CallContext, given: Sequence[tuple[str, str]]
) -> Iterator[Metadata]:
    """The metadata of a call to `model`: what is `given`, and the trace that the call belongs to.

    Without OpenTelemetry's SDK there is no span, and the server gets the current trace as it is. An
    application that gives a `traceparent` as a header has its own way.
    """
    if _API not in sys.modules or any(name == TRACEPARENT for name, _ in given):
        yield tuple(given)
        return
    span, headers = _begun(model, context)
    error = ""
    try:
        yield (*given, *headers)
    except OnecardError as failure:
        error = type(failure).__name__
        raise
    finally:
        _end(span, error)


def _begun(model: str, context: CallContext) -> tuple[Any, Metadata]:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    about = {"onecard.model": model, "onecard.id": context.request_id or ""}
    tracer = trace.get_tracer("onecard_client")
    span = tracer.start_span(f"call {model}", kind=trace.SpanKind.CLIENT, attributes=about)
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers, trace.set_span_in_context(span))
    return span, tuple(headers.items())


def _end(span: Any, error: str) -> None:
    """Of an error the kind alone: its words may be the caller's."""
    from opentelemetry import trace

    if error:
        span.set_attribute("error.type", error)
        span.set_status(trace.StatusCode.ERROR)
    span.end()

"""The trace of a call, as the server is told it by either client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from fake_server import ANSWER, FINISHED, events, fails
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from onecard_client import Client, InvalidRequest

TRACE, SPAN = "ab" * 16, "cd" * 8
GIVEN = f"00-{TRACE}-{SPAN}-01"
BUSY = fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


@pytest.fixture
def current() -> Iterator[None]:
    """The application is inside a span of its own."""
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    about = trace.SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=False, trace_flags=flags)
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(about)))
    yield
    context.detach(token)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The application has the SDK, and these are its spans."""
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return found


def test_the_current_trace_goes_on(fake: Any, connect: Any, current: None) -> None:
    server = fake(events(FINISHED))
    connect(server.url).transcribe(b"audio")
    assert server.metadata[-1]["traceparent"] == GIVEN


def test_without_one_nothing_is_told(fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED))
    connect(server.url).transcribe(b"audio")
    assert "traceparent" not in server.metadata[-1]


def test_a_header_of_the_application_s_own_stays(fake: Any, current: None) -> None:
    server = fake(events(*ANSWER))
    other = GIVEN.replace("ab", "ef")
    with Client(server.url, headers={"traceparent": other}) as client:
        assert "".join(client.chat("Hello")) == "Good day."
    assert server.metadata[-1]["traceparent"] == other


def test_a_call_with_its_repetitions_is_a_span(
    fake: Any, connect: Any, current: None, exported: InMemorySpanExporter
) -> None:
    server = fake(BUSY, events(FINISHED))
    connect(server.url).transcribe(b"audio")
    (span,) = exported.get_finished_spans()
    assert (span.name, span.kind) == ("call transcribe_stream", trace.SpanKind.CLIENT)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SPAN
    own = f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert [one["traceparent"] for one in server.metadata] == [own, own]
    assert span.attributes["onecard.id"] == server.requests[0].id


def test_a_refusal_is_told_by_its_kind(
    fake: Any, connect: Any, exported: InMemorySpanExporter
) -> None:
    server = fake(fails(grpc.StatusCode.INVALID_ARGUMENT, "the secret text is no recording"))
    with pytest.raises(InvalidRequest):
        connect(server.url).transcribe(b"audio")
    (span,) = exported.get_finished_spans()
    assert span.attributes["error.type"] == "InvalidRequest"
    assert not span.status.is_ok
    assert "secret" not in span.to_json()

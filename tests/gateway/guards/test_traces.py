"""The trace of a caller's request, on its way through the gateway to the server behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from onecard_gateway.guards import traces
from tests.waiting import until

sys.path.insert(0, str(Path(__file__).parents[2] / "client"))

from fake_server import ANSWER, FakeServer, events

GIVEN = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
BODY = {"model": "any", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def behind(lasting_fake: Callable[..., FakeServer]) -> FakeServer:
    return lasting_fake(events(*ANSWER))


@pytest.mark.parametrize(
    ("headers", "handed_on"),
    [
        ({"traceparent": GIVEN, "tracestate": "vendor=1"}, {"traceparent": GIVEN,
                                                            "tracestate": "vendor=1"}),
        ({}, {}),
        ({"traceparent": "00-" + "0" * 32 + "-" + "cd" * 8 + "-01"}, {}),
        ({"traceparent": "nonsense"}, {}),
    ],
)  # fmt: skip
def test_a_caller_s_trace_goes_on_to_the_server(
    lasting_gateway: Any, behind: FakeServer, headers: dict[str, str], handed_on: dict[str, str]
) -> None:
    with lasting_gateway(behind.url).client() as client:
        assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200
    seen = behind.metadata[-1]
    assert {name: seen[name] for name in ("traceparent", "tracestate") if name in seen} == handed_on


def test_a_request_is_a_span_with_the_call_to_the_server_below(
    lasting_gateway: Any, behind: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    headers = {"traceparent": GIVEN, "x-request-id": "call-7"}
    with lasting_gateway(behind.url).client() as client:
        assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200
        assert client.get("/metrics").status_code == 200  # no span
    until(lambda: len(exported.get_finished_spans()) == 2)
    call, own = exported.get_finished_spans()
    assert own.name == "POST /v1/chat/completions"
    assert own.attributes["http.response.status_code"] == 200
    assert own.attributes["onecard.id"] == call.attributes["onecard.id"] == "call-7"
    assert f"{own.parent.span_id:016x}" == "cd" * 8
    assert call.parent.span_id == own.context.span_id
    assert f"-{call.context.span_id:016x}-" in behind.metadata[-1]["traceparent"]


def test_spans_are_sent_where_a_collector_is_named() -> None:
    assert traces.provider({}) is None
    name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    found = traces.provider({name: "http://127.0.0.1:1/v1/traces"})
    assert found.resource.attributes["service.name"] == "onecard-gateway"
    found.shutdown()


def test_a_lack_of_the_sdk_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ImportError, match=r"pip install 'onecard\[tracing\]'"):
        traces.provider({**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})

"""Requests that are told of: to a log of JSON lines, and as spans to a collector on a socket."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from onecard.metrics.record import Origin
from onecard.metrics.traffic import Tell, Traffic
from onecard.python_backend import telling, traces
from tests.waiting import until

REQUEST = "0123456789abcdef0123456789abcdef"
OWN = Origin(REQUEST)
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def ended(tell: Tell, origin: Origin = OWN) -> None:
    """A request with one call to another model."""
    visit = Traffic(model="transcribe_stream", tell=tell).accept(origin)
    with visit.working("recognize"):
        pass
    visit.end(None)


def test_nobody_is_told_unless_the_environment_asks() -> None:
    assert telling.tell(pytest.fail, {}) is None
    assert telling.tell(pytest.fail, {"LOG_FORMAT": "text"}) is None
    assert telling.tell(pytest.fail, {ENDPOINT: "http://x", "OTEL_SDK_DISABLED": "true"}) is None


def test_a_line_of_json_goes_where_triton_s_log_goes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    tell = telling.tell(pytest.fail, {"LOG_FORMAT": "json"})
    assert tell is not None
    ended(tell, Origin('call "7"\n'))
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith('{"time": "')  # by which `serve` knows it
    found = json.loads(line)
    assert (found["source"], found["model"]) == ("model", "transcribe_stream")
    assert (found["id"], found["outcome"]) == ('call "7"\n', "done")


def test_what_cannot_be_told_is_said_and_harms_no_request(monkeypatch: Any) -> None:
    warnings: list[str] = []
    tell = telling.tell(warnings.append, {"LOG_FORMAT": "json"})
    assert tell is not None
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    ended(tell)
    assert warnings == ["a request could not be told of: OSError: disk full"]


def test_a_request_s_id_is_its_trace_s_where_it_has_that_form() -> None:
    assert traces.trace_id(REQUEST) == int(REQUEST, 16)
    others = {traces.trace_id(one) for one in ("call-7", "call-8", "0" * 32, "\udcff")}
    assert len(others) == 4
    assert all(0 < one < 2**128 for one in others)


class Collector(BaseHTTPRequestHandler):
    """Keeps what is sent to it by OTLP over HTTP."""

    bodies: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bytes]]]:
    bodies: list[tuple[str, bytes]] = []
    kind = type("Own", (Collector,), {"bodies": bodies})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    yield bodies
    server.shutdown()
    server.server_close()


def test_a_request_and_its_stages_are_spans_of_one_trace(
    collector: list[tuple[str, bytes]],
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    tell = telling.tell(pytest.fail, dict(os.environ))
    assert tell is not None
    ended(tell)
    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    ended(tell, Origin("call-7", json.dumps({"traceparent": parent})))
    spans: list[Any] = []

    def arrived() -> bool:
        spans.clear()
        for path, body in list(collector):
            assert path == "/v1/traces"
            message = ExportTraceServiceRequest.FromString(body)
            for resource in message.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                assert names["service.name"] == "onecard"
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        return len(spans) == 4

    until(arrived, lambda: f"{len(spans)} spans")
    own = [one for one in spans if one.trace_id.hex() == REQUEST]
    callers = [one for one in spans if one.trace_id.hex() == "ab" * 16]
    for pair in (own, callers):
        above, below = sorted(pair, key=lambda span: span.name, reverse=True)
        assert (above.name, below.name) == ("transcribe_stream", "recognize")
        assert below.parent_span_id == above.span_id
        assert above.start_time_unix_nano <= below.start_time_unix_nano
        assert below.end_time_unix_nano <= above.end_time_unix_nano
    assert "" in {one.parent_span_id.hex() for one in own}
    assert "cd" * 8 in {one.parent_span_id.hex() for one in callers}
    (attributes,) = [one.attributes for one in own if one.name == "transcribe_stream"]
    assert REQUEST in {one.value.string_value for one in attributes if one.key == "onecard.id"}

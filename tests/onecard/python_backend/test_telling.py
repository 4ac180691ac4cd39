"""Requests that are told of: to a log of JSON lines, and as spans to a collector on a socket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from onecard.metrics.record import Origin
from onecard.metrics.traffic import Tell, Traffic
from onecard.python_backend import telling, traces
from tests.collector import Collector, collecting
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


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        monkeypatch.setenv(ENDPOINT, found.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield found


def test_a_request_and_its_stages_are_spans_of_one_trace(collector: Collector) -> None:
    tell = telling.tell(pytest.fail, dict(os.environ))
    assert tell is not None
    ended(tell)
    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    ended(tell, Origin("call-7", json.dumps({"traceparent": parent})))
    until(lambda: len(collector.spans()) == 4, lambda: f"{len(collector.spans())} spans")
    assert collector.paths == {"/v1/traces"}
    assert {one.service for one in collector.spans()} == {"onecard"}
    own, callers = collector.spans(REQUEST), collector.spans("ab" * 16)
    for pair in (own, callers):
        above, below = sorted(pair, key=lambda one: one.name, reverse=True)
        assert (above.name, below.name) == ("transcribe_stream", "recognize")
        assert below.above == above.own
        assert above.span.start_time_unix_nano <= below.span.start_time_unix_nano
        assert below.span.end_time_unix_nano <= above.span.end_time_unix_nano
    assert "" in {one.above for one in own}
    assert "cd" * 8 in {one.above for one in callers}
    assert REQUEST in {one.attribute("onecard.id") for one in own}

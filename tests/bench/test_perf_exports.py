"""Files that perf_analyzer 2.46.0 wrote against a onecard server, read back.

The profile exports are cut: four requests of a chat with two deltas each left, two of a triage.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.perf import exports
from bench.perf.exports import Unreadable

FILES = Path(__file__).parent / "perf_analyzer"
REPORT = (FILES / "chat.log").read_text(encoding="utf-8")


def test_summary_of_a_streaming_model() -> None:
    found = exports.summary(FILES / "chat.csv", REPORT)
    assert found.num_requests == 16
    assert found.requests_per_s == pytest.approx(1.11006)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx(
        (1699.201, 2467.334, 2474.659)
    )


def test_summary_of_a_unary_model_has_other_columns() -> None:
    found = exports.summary(FILES / "transcribe.csv", "    Request count: 4\n")
    assert (found.num_requests, found.requests_per_s) == (4, pytest.approx(0.277142))
    assert found.p50_ms == pytest.approx(3433.476)


def test_latencies_of_a_stream_are_to_its_last_response() -> None:
    """The report says `using the first response for measuring latency`; the export decides it."""
    (experiment,) = json.loads((FILES / "chat.json").read_text(encoding="utf-8"))["experiments"]
    longest_ms = max(
        (request["response_timestamps"][-1] - request["timestamp"]) / 1e6
        for request in experiment["requests"]
    )
    found = exports.summary(FILES / "chat.csv", REPORT)
    assert longest_ms == pytest.approx(found.p99_ms, rel=1e-3)


def test_chat_streams() -> None:
    found = exports.streams(FILES / "chat.json", "delta")
    assert found.tokens == 64
    assert 0 < found.first_p50_ms <= found.first_p90_ms <= found.first_p99_ms < 1699


def test_triage_waits_for_the_verdict_and_counts_the_calls() -> None:
    (experiment,) = json.loads((FILES / "triage.json").read_text(encoding="utf-8"))["experiments"]
    waits_ms, tokens = [], []
    for request in experiment["requests"]:
        kinds = [json.loads(one["EVENT"] or "{}") for one in request["response_outputs"]]
        at = [event.get("event") for event in kinds].index("verdict")
        assert at > 0  # progress comes first
        waits_ms.append((request["response_timestamps"][at] - request["timestamp"]) / 1e6)
        tokens.append(kinds[-2]["summary"]["completion_tokens"])
    found = exports.streams(FILES / "triage.json", "verdict")
    assert found.first_p99_ms == pytest.approx(max(waits_ms))
    assert found.tokens == pytest.approx(sum(tokens) / 2)


def test_lengths_before_the_events_and_odd_bytes_do_no_harm(tmp_path: Path) -> None:
    text = (FILES / "chat.json").read_text(encoding="utf-8")
    prefixed = text.replace('"EVENT": "{', '"EVENT": "\\u001f\\u0000\\u0000\\u0000{')
    path = tmp_path / "export.json"
    path.write_bytes(prefixed.encode().replace(b"Summarise", b"\xff\xfe"))
    assert exports.streams(path, "delta") == exports.streams(FILES / "chat.json", "delta")


def test_an_export_without_the_event_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no profile export with events of `verdict`"):
        exports.streams(FILES / "chat.json", "verdict")
    with pytest.raises(Unreadable, match=r"missing\.json"):
        exports.streams(tmp_path / "missing.json", "delta")


def test_a_table_of_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text((FILES / "chat.csv").read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(Unreadable, match="is no CSV of one concurrency"):
        exports.summary(path, REPORT)


def test_percentiles_are_perf_analyzers() -> None:
    # Of seven sorted latencies it reported the fourth, sixth and seventh.
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert [exports.percentile(values, percent) for percent in (50, 90, 95)] == [4.0, 6.0, 7.0]

"""What perf_analyzer measured, read from its CSV, its profile export and its report.

The three forms: docs/measurements_metrics.md and docs/profile-export-schema.json of
triton-inference-server/perf_analyzer.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts.errors import BuildError

COUNT = re.compile(r"^\s*Request count: (\d+)$", re.MULTILINE)
_NS_PER_MS = 1e6
_US_PER_MS = 1e3


class Unreadable(BuildError):
    """A file of perf_analyzer is not there, or is of another form."""


@dataclass(frozen=True)
class Summary:
    """Of the requests that ended while it was measured; latencies are to the last response."""

    num_requests: int
    requests_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Streams:
    """Of the same requests, where a model streams.

    `first_*`: from the request to the first event that holds a result; `tokens`: of an answer, on
    average, 0 of speech.
    """

    first_p50_ms: float
    first_p90_ms: float
    first_p99_ms: float
    tokens: float


def summary(table: Path, report: str) -> Summary:
    """From the CSV (`-f`) of one concurrency, and the count that stands in the report alone.

    Raises Unreadable.
    """
    count = COUNT.search(report)
    try:
        (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
        return Summary(
            num_requests=int(count.group(1)) if count else 0,
            requests_per_s=float(row["Inferences/Second"]),
            p50_ms=float(row["p50 latency"]) / _US_PER_MS,
            p90_ms=float(row["p90 latency"]) / _US_PER_MS,
            p99_ms=float(row["p99 latency"]) / _US_PER_MS,
        )
    except (OSError, ValueError, KeyError) as error:
        raise Unreadable(
            f"`{table}` is no CSV of one concurrency by perf_analyzer: {error!r}"
        ) from None


def streams(export: Path, first_event: str) -> Streams:
    """From the profile export (`--profile-export-file`) of one concurrency.

    `first_event`: the kind of event that a caller waits for, as `delta`.
    Raises Unreadable.
    """
    try:
        # Inputs stand in it as they are, whatever their bytes are.
        text = export.read_bytes().decode("utf-8", errors="replace")
        (experiment,) = json.loads(text)["experiments"]
        answers = [_answer(request, first_event) for request in experiment["requests"]]
        firsts = sorted(first_ms for first_ms, _ in answers)
        return Streams(
            first_p50_ms=percentile(firsts, 50),
            first_p90_ms=percentile(firsts, 90),
            first_p99_ms=percentile(firsts, 99),
            tokens=sum(tokens for _, tokens in answers) / len(answers),
        )
    except (OSError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise Unreadable(
            f"`{export}` is no profile export with events of `{first_event}`: {error!r}"
        ) from None


def percentile(ordered: Sequence[float], percent: float) -> float:
    """As perf_analyzer takes it (its InferenceProfiler::SummarizeLatency): one of the values."""
    return ordered[int(percent / 100 * (len(ordered) - 1) + 0.5)]


def _answer(request: dict[str, Any], first_event: str) -> tuple[float, int]:
    """Milliseconds to the first event of that kind, and tokens."""
    events = [_event(outputs.get("EVENT", "")) for outputs in request["response_outputs"]]
    kinds = [event.get("event") for event in events]
    first_ns = request["response_timestamps"][kinds.index(first_event)]
    return (first_ns - request["timestamp"]) / _NS_PER_MS, sum(map(_tokens, events))


def _event(text: str) -> dict[str, Any]:
    """The event; empty for the response that only ends the stream."""
    begin = text.find("{")  # behind the element's length, where it was not taken off
    found: dict[str, Any] = json.loads(text[begin:]) if begin >= 0 else {}
    return found


def _tokens(event: dict[str, Any]) -> int:
    """What `usage` of a chat or the `summary` of a triage counts."""
    counted = event.get("summary", event)
    return int(counted.get("completion_tokens", 0))

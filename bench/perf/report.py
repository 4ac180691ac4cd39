"""One run as files: CSV for programs, a page and a plot for people."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.page import table
from bench.perf import plots
from bench.perf.analyzer import Measured
from bench.perf.profiles import MIXED
from bench.serving import Times

LOADS = (
    "profile", "model", "concurrency", "requests", "requests/s", "p50 ms", "p90 ms", "p99 ms",
    "first p50 ms", "first p90 ms", "first p99 ms", "tokens/s", "x real time",
)  # fmt: skip
MODELS = ("profile", "concurrency", "model", "requests", "queue ms", "compute ms")


@dataclass(frozen=True)
class Level:
    """What was measured under one name at one concurrency; `times`: of every model meanwhile."""

    name: str
    concurrency: int
    measured: Sequence[Measured]
    times: Times


@dataclass(frozen=True)
class Run:
    """`facts`: of the machine; `tool`: the perf_analyzer; `streaming`: models that stream."""

    date: str
    command: str
    tool: str
    facts: Mapping[str, Any]
    levels: Sequence[Level]
    failures: Sequence[str]
    streaming: frozenset[str]


def write(run: Run, folder: Path) -> list[Path]:
    """loads.csv, models.csv, page.md and loads.png in `folder`; their paths."""
    paths = [folder / name for name in ("loads.csv", "models.csv", "page.md")]
    for path, headings, rows in (
        (paths[0], LOADS, load_rows(run.levels)),
        (paths[1], MODELS, model_rows(run.levels)),
    ):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(headings)
            writer.writerows(rows)
    if run.levels:
        paths.append(folder / "loads.png")
        plots.draw(run.levels, paths[-1])
    paths[2].write_text(page(run), encoding="utf-8")
    return paths


def load_rows(levels: Sequence[Level]) -> Iterator[list[Any]]:
    """Of LOADS; None where a load has no such figure."""
    for level in levels:
        for one in level.measured:
            summary, streams = one.summary, one.streams
            firsts = (
                (streams.first_p50_ms, streams.first_p90_ms, streams.first_p99_ms)
                if streams
                else (None,) * 3
            )
            yield [
                level.name, one.load.profile.name, one.load.concurrency, summary.num_requests,
                summary.requests_per_s, summary.p50_ms, summary.p90_ms, summary.p99_ms,
                *firsts, one.tokens_per_s, one.audio_per_s,
            ]  # fmt: skip


def model_rows(levels: Sequence[Level]) -> Iterator[list[Any]]:
    """Of MODELS: milliseconds a request, the most of them first."""
    for level in levels:
        for name, times in sorted(level.times.items(), key=lambda item: -item[1]["compute_s"]):
            requests = times["requests"]
            yield [
                level.name, level.concurrency, name, int(requests),
                1e3 * times["queue_s"] / requests, 1e3 * times["compute_s"] / requests,
            ]  # fmt: skip


def page(run: Run) -> str:
    """The run in Markdown."""
    facts = run.facts
    parts = [
        f"# Load, {run.date}",
        f"`{run.command}`, {run.tool}. {facts['cpu']}, {facts['cores']} cores, "
        f"{facts['memory_gib']} GiB; load average {facts['load']} before, "
        f"{facts['load_after']} after.",
        table(LOADS, [[_cell(value) for value in row] for row in load_rows(run.levels)]),
        "How to read it: docs/perf.md.",
        "## Where the time went",
        "Triton's own statistics: of every model, milliseconds a request in its queue and within "
        "it. " + " ".join(_CAVEATS),
        table(MODELS, [_model_row(row, run.streaming) for row in model_rows(run.levels)]),
    ]
    if run.failures:
        parts += ["## Not measured", "\n".join(f"- {failure}" for failure in run.failures)]
    return "\n\n".join(parts) + "\n"


_CAVEATS = (
    "`transcribe` contains its steps, `recognize` its calls of `whisper`; `diarize` runs beside "
    "both.",
    "A model marked * streams, and Triton counts its requests until they are taken: what follows "
    "is in the latencies above alone.",
)


def line(measured: Measured, name: str) -> str:
    """One load on the terminal."""
    summary = measured.summary
    said = [
        f"{summary.num_requests} requests, {summary.requests_per_s:.2f}/s",
        f"p50 {summary.p50_ms:.0f}, p90 {summary.p90_ms:.0f}, p99 {summary.p99_ms:.0f} ms",
    ]
    if measured.streams is not None:
        said.append(f"first {measured.streams.first_p50_ms:.0f} ms")
    if measured.tokens_per_s is not None:
        said.append(f"{measured.tokens_per_s:.0f} tokens/s")
    if measured.audio_per_s is not None:
        said.append(f"{measured.audio_per_s:.1f} x real time")
    prefix = f"{measured.load.profile.name}: " if name == MIXED else ""
    return prefix + ", ".join(said)


def _model_row(row: Sequence[Any], streaming: frozenset[str]) -> list[str]:
    cells = [_cell(value) for value in row]
    cells[2] += "*" if row[2] in streaming else ""
    return cells


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
        return f"{value:.{digits}f}"
    return str(value)

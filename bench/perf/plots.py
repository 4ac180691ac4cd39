"""A plot of one run, as PNG: throughput and latency over concurrency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from bench.plots import METADATA

if TYPE_CHECKING:
    from bench.perf.analyzer import Measured
    from bench.perf.report import Level


def draw(levels: Sequence[Level], path: Path) -> None:
    """A row for each profile: requests a second, then latencies."""
    rows = series(levels)
    figure = Figure(figsize=(9, 0.6 + 2.1 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 2, squeeze=False)
    for (left, right), (name, measured) in zip(panels, rows.items(), strict=True):
        at_once = [one.load.concurrency for one in measured]
        left.plot(at_once, [one.summary.requests_per_s for one in measured], marker="o")
        left.set_title(name, fontsize=10)
        left.set_ylabel("requests/s")
        for label, values in latencies(measured).items():
            right.plot(at_once, values, marker="o", label=label)
        right.set_ylabel("ms")
        right.legend(fontsize=7)
        for panel in (left, right):
            panel.set_ylim(bottom=0)
            panel.set_xticks(at_once)
    for panel in panels[-1]:
        panel.set_xlabel("requests at once")
    figure.savefig(path, metadata=METADATA)


def series(levels: Sequence[Level]) -> dict[str, list[Measured]]:
    """Every curve's points, by what it is of."""
    found: dict[str, list[Measured]] = {}
    for level in levels:
        for one in level.measured:
            model = one.load.profile.name
            others = [other.load.profile.name for other in level.measured if other is not one]
            name = f"{model} beside {', '.join(others)}" if others else model
            found.setdefault(name, []).append(one)
    return found


def latencies(measured: Sequence[Measured]) -> dict[str, list[float]]:
    """Milliseconds at each point, by what they are to."""
    found = {
        "p50": [one.summary.p50_ms for one in measured],
        "p90": [one.summary.p90_ms for one in measured],
        "p99": [one.summary.p99_ms for one in measured],
    }
    firsts = [one.streams.first_p50_ms for one in measured if one.streams is not None]
    return {**found, "first, p50": firsts} if firsts else found

"""Plots of one run, as PNG: where the time of a transcription goes, and memory over time."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

METADATA = {"Software": None}  # the same figures give the same file


def draw(results: Mapping[str, Any], folder: Path, stem: str) -> list[Path]:
    """Write `<stem>-<name>.png` for each benchmark that has a plot and did not fail.

    A plot that cannot be drawn is said and left out.
    """
    paths = []
    for name, plot in PLOTS.items():
        found = results.get(name)
        if found is None or "error" in found:
            continue
        path = folder / f"{stem}-{name}.png"
        try:
            plot(found).savefig(path, metadata=METADATA)
        except Exception:
            traceback.print_exc()
            print(f"  the plot of `{name}` was not drawn; its figures are kept", flush=True)
            path.unlink(missing_ok=True)
        else:
            paths.append(path)
    return paths


def stages(results: Mapping[str, Any]) -> Figure:
    """A panel for each clip, a bar for each model: time in its queue, then time in it."""
    figure = Figure(figsize=(9, 1.2 + 2.2 * len(results)), layout="constrained")
    panels = figure.subplots(len(results), squeeze=False)[:, 0]
    for panel, (clip, one) in zip(panels, results.items(), strict=True):
        names = list(one["stages"])[::-1]  # the first at the top
        queue = [one["stages"][name]["queue_s"] for name in names]
        compute = [one["stages"][name]["compute_s"] for name in names]
        panel.barh(names, queue, color="tab:orange", label="queue")
        panel.barh(names, compute, left=queue, color="tab:blue", label="compute")
        panel.axvline(one["wall_s"]["median"], color="black", linestyle=":", label="whole request")
        panel.set_title(f"{clip} of speech, one request at a time", fontsize=10)
        panel.set_xlabel("seconds (`recognize` contains `whisper`; `diarize` runs beside both)")
    panels[0].legend(loc="lower right", fontsize=8)
    return figure


def memory(results: Mapping[str, Any]) -> Figure:
    """Memory of all processes and shared memory, stacked, over time."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panel = figure.subplots()
    series = results["series"]
    panel.stackplot(
        series["time_s"], series["own_mib"], series["shared_mib"],
        labels=["processes", "shared memory"], colors=["tab:blue", "tab:orange"],
    )  # fmt: skip
    panel.axhline(results["idle_mib"], color="black", linestyle=":", label="idle")
    minutes = ", ".join(str(run["minutes"]) for run in results["runs"])
    panel.set_title(f"files of {minutes} minutes, one after the other", fontsize=10)
    panel.set_xlabel("seconds")
    panel.set_ylabel("MiB")
    panel.set_ylim(bottom=0)
    panel.legend(loc="lower right", fontsize=8)
    return figure


PLOTS: Mapping[str, Callable[[Mapping[str, Any]], Figure]] = {"stages": stages, "memory": memory}

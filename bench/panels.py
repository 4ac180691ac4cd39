"""Dashboards drawn from their JSON by what a Prometheus answers, where there is no Grafana.

The places, titles, queries, legends, units and thresholds are the dashboard's. The look is not
Grafana's.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from bench.prometheus import Prometheus, Series
from build_scripts.dashboards import files

WIDTH_IN, ROW_IN = 13.0, 0.36  # of the picture, and of one row of Grafana's grid
DPI, NUM_COLOURS = 72, 128
MAX_LINES = 12  # with a name of their own
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_OF_A_CARD = re.compile(r"nv_gpu_|onecard_vram_")
_FACTORS = {"bytes": (2.0**30, " GiB"), "percentunit": (0.01, " %"), "s": (1.0, " s"),
            "ops": (1.0, " /s")}  # fmt: skip


@dataclass(frozen=True)
class Window:
    """The time that is drawn, in seconds as `time.time` counts, and how it is sampled."""

    from_s: float
    until_s: float
    step_s: float = 5.0
    rate_s: float = 30.0  # that `$__rate_interval` stands for


@dataclass
class Drawn:
    """A picture, and the queries of its panels that had no answer.

    Attributes:
        silent: panel -> the queries without a single value.
    """

    png: bytes
    silent: dict[str, list[str]] = field(default_factory=dict)


def is_of_a_card(promql: str) -> bool:
    """Whether a query asks for what only a GPU has."""
    return _OF_A_CARD.search(promql) is not None


def draw(name: str, prometheus: Prometheus, window: Window, model: str = "") -> Drawn:
    """The dashboard of the file `name` of deploy/grafana/.

    Args:
        model: the choice of its variable, where it has one.
    """
    document = json.loads((files.FOLDER / name).read_text(encoding="utf-8"))
    panels = document["panels"]
    height = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels) + 2
    figure = Figure(figsize=(WIDTH_IN, height * ROW_IN), dpi=DPI)
    title = f"{document['title']}{f' ({model})' if model else ''}"
    figure.text(0.01, 1 - 0.9 / height, f"{title}: drawn from its JSON, not by Grafana", size=11)
    silent: dict[str, list[str]] = {}
    for panel in panels:
        at = panel["gridPos"]
        if panel["type"] == "row":
            y = 1 - (at["y"] + 2.6) / height
            figure.text(0.01, y, panel["title"], size=10, weight="bold")
            continue
        found = {}
        for target in panel["targets"]:
            promql = _asked(target["expr"], window, model)
            found[promql] = (target["legendFormat"], _answered(prometheus, panel, promql, window))
        unanswered = [query for query, (_, series) in found.items() if not series]
        if unanswered:
            silent[panel["title"]] = unanswered
        _draw(figure.add_axes(_place(at, height)), panel, list(found.values()), window)
    return Drawn(_png(figure), silent)


def write(name: str, drawn: Drawn, folder: Path) -> Path:
    """The path of the picture. Raises OSError."""
    path = folder / f"{Path(name).stem}.png"
    path.write_bytes(drawn.png)
    return path


def _asked(promql: str, window: Window, model: str) -> str:
    return promql.replace("$__rate_interval", f"{window.rate_s:g}s").replace("$model", model)


def _answered(
    prometheus: Prometheus, panel: Mapping[str, Any], promql: str, window: Window
) -> list[Series]:
    """Series with numbers in them: a rate of nothing is none."""
    if panel["type"] == "stat":
        found = prometheus.at(promql, window.until_s)
    else:
        found = prometheus.between(promql, window.from_s, window.until_s, window.step_s)
    kept = (
        Series(one.labels, [point for point in one.points if point[1] == point[1]]) for one in found
    )
    return [one for one in kept if one.points]


def _place(at: Mapping[str, int], height: float) -> tuple[float, float, float, float]:
    left, bottom = 0.045 + 0.95 * at["x"] / 24, 1 - (at["y"] + at["h"] + 1.6) / height
    return left, bottom, 0.95 * at["w"] / 24 - 0.05, (at["h"] - 2.4) / height


def _draw(
    axes: Axes, panel: Mapping[str, Any], found: list[tuple[str, list[Series]]], window: Window
) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    factor, unit = _FACTORS.get(defaults["unit"], (1.0, ""))
    axes.set_title(panel["title"], size=8, loc="left", pad=3)
    lines = {
        _called(legend, one): [(t - window.from_s, v / factor) for t, v in one.points]
        for legend, series in found
        for one in series
    }
    red = [step["value"] for step in defaults["thresholds"]["steps"] if step["color"] == "red"]
    if not lines:
        axes.text(0.5, 0.5, "no data", ha="center", va="center", color="grey", size=9)
        axes.set_axis_off()
    elif panel["type"] == "stat":
        value = next(iter(lines.values()))[-1][1]
        colour = "tab:red" if red and value * factor >= red[0] else "tab:green"
        axes.text(0.5, 0.4, f"{value:,.3g}{unit}", ha="center", va="center", size=17, color=colour)
        axes.set_axis_off()
    else:
        _plot(axes, lines, is_stacked=defaults["custom"]["stacking"]["mode"] == "normal")
        axes.set_xlim(0, window.until_s - window.from_s)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}{unit}")
        top = axes.get_ylim()[1]
        axes.set_ylim(0, top if top > 0 else 1)
        if red and red[0] / factor < axes.get_ylim()[1]:
            axes.axhline(red[0] / factor, color="tab:red", linewidth=0.7, linestyle="--")


def _plot(axes: Axes, lines: Mapping[str, list[tuple[float, float]]], *, is_stacked: bool) -> None:
    """Lines over seconds; stacked ones begin where the one below ends, at the same times."""
    base: dict[float, float] = {}
    ordered = sorted(lines.items(), key=lambda line: -max(value for _, value in line[1]))
    for number, (name, points) in enumerate(ordered):
        times = [time_s for time_s, _ in points]
        below = [base.get(time_s, 0.0) if is_stacked else 0.0 for time_s in times]
        values = [value + under for (_, value), under in zip(points, below, strict=True)]
        label = name if number < MAX_LINES else None
        (line,) = axes.plot(times, values, linewidth=0.9, label=label)
        if is_stacked:
            axes.fill_between(times, below, values, alpha=0.3, color=line.get_color(), linewidth=0)
            base.update(zip(times, values, strict=True))
    axes.tick_params(labelsize=6, length=2)
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(fontsize=5.5, ncols=2, loc="upper left", framealpha=0.6, borderpad=0.2)


def _called(legend: str, series: Series) -> str:
    if legend == "__auto":
        return ", ".join(series.labels.values()) or "value"
    return _LABEL.sub(lambda found: series.labels.get(found[1], ""), legend)


def _png(figure: Figure) -> bytes:
    """A picture of few colours, which is a small file."""
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, metadata={"Software": None})
    image = Image.open(raw).convert("RGB").quantize(NUM_COLOURS)
    image.save(small, "PNG", optimize=True)
    return small.getvalue()

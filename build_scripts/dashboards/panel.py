"""Panels of Grafana and the dashboard that holds them, as its JSON model (schema 39)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

WIDTH = 24  # columns of Grafana's grid
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Document = dict[str, Any]
# Grafana's names of units.
Unit = Literal["short", "s", "bytes", "percentunit", "ops", "none"]


@dataclass(frozen=True)
class Query:
    """PromQL, and what a line of its result is called: `{{label}}` is a label's value."""

    promql: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A graph over time, or with `kind` `stat` the last value in large letters.

    Attributes:
        text: what it shows, for who points at it.
        columns: of `WIDTH`.
        red_from: the value that is shown red; None: none.
        is_stacked: lines lie on each other, and their sum shows.
    """

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Literal["timeseries", "stat"] = "timeseries"
    columns: int = 12
    red_from: float | None = None
    is_stacked: bool = False

    @property
    def rows(self) -> int:
        return 4 if self.kind == "stat" else 8

    def document(self, number: int, x: int, y: int) -> Document:
        targets = [
            {
                "datasource": SOURCE,
                "expr": query.promql,
                "legendFormat": query.legend or "__auto",
                "refId": chr(ord("A") + index),
            }
            for index, query in enumerate(self.queries)
        ]
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.columns, "h": self.rows},
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "targets": targets,
        }

    def _defaults(self) -> Document:
        steps: list[Document] = [{"color": "green", "value": None}]
        if self.red_from is not None:
            steps.append({"color": "red", "value": self.red_from})
        found: Document = {
            "unit": self.unit,
            "min": 0,
            "thresholds": {"mode": "absolute", "steps": steps},
        }
        if self.kind == "timeseries":
            found["custom"] = {
                "fillOpacity": 20 if self.is_stacked else 0,
                "stacking": {"mode": "normal" if self.is_stacked else "none"},
                "thresholdsStyle": {"mode": "off" if self.red_from is None else "line"},
            }
        return found

    def _options(self) -> Document:
        if self.kind == "stat":
            return {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}}
        return {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi"},
        }


@dataclass(frozen=True)
class Row:
    """A heading and the panels under it, which fill lines from the left."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Attributes:
        uid: its name in Grafana's addresses.
        variables: of its own, after the choice of Prometheus.
    """

    uid: str
    title: str
    rows: tuple[Row, ...]
    variables: tuple[Document, ...] = ()

    def document(self) -> Document:
        """What Grafana reads."""
        source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["onecard"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "links": [{"type": "dashboards", "tags": ["onecard"], "title": "onecard"}],
            "templating": {"list": [source, *self.variables]},
            "panels": _placed(self.rows),
        }


def _placed(rows: Sequence[Row]) -> list[Document]:
    found: list[Document] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        found.append(
            {"id": len(found) + 1, "type": "row", "title": row.title, "collapsed": False,
             "gridPos": place, "panels": []}
        )  # fmt: skip
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.columns > WIDTH:
                x, y, height = 0, y + height, 0
            found.append(panel.document(len(found) + 1, x, y))
            x, height = x + panel.columns, max(height, panel.rows)
        y += height
    return found

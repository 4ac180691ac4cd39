"""A real Prometheus beside a run, by the scrape configuration and the rules that ship."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts import paths
from build_scripts.errors import MachineError
from build_scripts.server.temporary import free_ports

CONFIGURATION = paths.ROOT / "docker" / "prometheus.yml"
RULES = paths.ROOT / "deploy" / "prometheus" / "rules.yml"
START_S = 60.0
PATIENCE_S = 30.0
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """What Prometheus has of one set of labels: times in seconds, and values."""

    labels: Mapping[str, str]
    points: Points


def binary() -> str:
    """The path of Prometheus. Raises MachineError where there is none."""
    found = shutil.which("prometheus")
    if found is None:
        raise MachineError("there is no `prometheus`: `apt-get install prometheus`")
    return found


def configured(
    servers: Sequence[str],
    gateways: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    interval_s: float = 5.0,
) -> str:
    """The shipped configuration with these targets (`host:port`).

    Args:
        labels: that every figure of a server gets, as Prometheus Operator gives it a pod's.

    Raises ValueError where the shipped one does not have what is replaced.
    """
    text = CONFIGURATION.read_text(encoding="utf-8")
    targets = json.dumps(list(servers))
    more = f"\n        labels: {json.dumps(dict(labels))}" if labels else ""
    for old, new in (
        ('["serve:8002", "cpu:8002"]', targets + more),
        ('["gateway:8080"]', json.dumps(list(gateways))),
        ("/etc/prometheus/onecard/rules.yml", str(RULES)),
        ("scrape_interval: 5s", f"scrape_interval: {interval_s:g}s"),
    ):
        if text.count(old) != 1:
            raise ValueError(f"`{old}` is in {CONFIGURATION} `{text.count(old)}` times, must be 1")
        text = text.replace(old, new)
    return text


class Prometheus:
    """One that runs at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def at(self, promql: str, time_s: float) -> list[Series]:
        """What `promql` is at a time. Raises ValueError for what is no PromQL."""
        found = self._asked("query", query=promql, time=time_s)
        return [Series(one["metric"], [_point(one["value"])]) for one in found]

    def between(self, promql: str, from_s: float, until_s: float, step_s: float) -> list[Series]:
        """The same over a time. Raises ValueError for what is no PromQL."""
        found = self._asked("query_range", query=promql, start=from_s, end=until_s, step=step_s)
        return [Series(one["metric"], [_point(p) for p in one["values"]]) for one in found]

    def alerts(self, from_s: float, until_s: float, state: str = "firing") -> list[str]:
        """The names of the alerts that had this state at any time between the two."""
        found = self.between(f'ALERTS{{alertstate="{state}"}}', from_s, until_s, 5.0)
        return sorted({one.labels["alertname"] for one in found})

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=PATIENCE_S) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def _asked(self, endpoint: str, **parameters: Any) -> list[dict[str, Any]]:
        url = f"{self.url}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
                document = json.load(reply)
        except urllib.error.HTTPError as error:
            raise ValueError(
                f"Prometheus refused `{parameters['query']}`: {error.read()!r}"
            ) from error
        found: list[dict[str, Any]] = document["data"]["result"]
        return found


@contextlib.contextmanager
def scraping(configuration: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with this configuration, ended when the block is left.

    Raises MachineError where there is none, or it does not start.
    """
    (port,) = free_ports(1)
    path = folder / "prometheus.yml"
    path.write_text(configuration, encoding="utf-8")
    process = subprocess.Popen(
        [
            binary(), f"--config.file={path}", f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    one = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until_s = time.monotonic() + START_S
        while not one.is_ready():
            if process.poll() is not None or time.monotonic() > until_s:
                process.kill()
                raise MachineError(f"Prometheus did not start: {process.communicate()[1].strip()}")
            time.sleep(0.1)
        yield one
    finally:
        process.terminate()
        process.communicate()


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])

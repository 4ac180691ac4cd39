"""A real Prometheus by the shipped configuration, what it tells, and dashboards drawn from that."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import panels, prometheus
from bench.fleet import report
from bench.fleet.observed import NAMESPACE, RELEASE, SERVER, Observed
from bench.prometheus import Prometheus
from build_scripts.fleet import helm, replicas
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no prometheus here: apt-get install prometheus"
)
LABELS = {"namespace": NAMESPACE, "onecard_server": SERVER, "onecard_release": RELEASE}
FACTS = {"cpu": "a CPU", "cores": 2, "memory_gib": 24, "load": 1.0, "system": "Linux",
         "python": "3", "packages": {}}  # fmt: skip
METRICS = """
onecard_audio_seconds_left{{model="transcribe_stream"}} {left_s}
onecard_streams{{model="transcribe_stream",state="running"}} 2
onecard_streams{{model="transcribe_stream",state="waiting"}} 3
onecard_streams_ended_total{{model="transcribe_stream",outcome="failed"}} {failed}
"""


class Server(ThreadingHTTPServer):
    """Publishes so much audio left."""

    def __init__(self, left_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.left_s, self.failed = left_s, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        text = METRICS.format(left_s=self.server.left_s, failed=self.server.failed)
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    with Server(1000.0) as first, Server(500.0) as second:
        yield first, second
        first.shutdown()
        second.shutdown()


@pytest.fixture(scope="module")
def asked(
    servers: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    targets = [one.target for one in servers]
    text = prometheus.configured(targets, labels=LABELS, interval_s=1.0)
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus.scraping(text.replace("15s", "1s"), folder) as found:
        yield found


def test_keda_s_query_has_the_audio_of_both_servers_and_the_formula_its_replicas(
    asked: Prometheus,
) -> None:
    began_s = time.time()
    query = helm.query("cpu", "onecard", "rehearsal")

    def points() -> list[tuple[float, float]]:
        found = asked.between(query, began_s, time.time(), 1.0)
        return [point for one in found for point in one.points]

    until(lambda: any(value == 1500.0 for _, value in points()))
    whole = [point for point in points() if point[1] == 1500.0]
    assert replicas.replayed(whole, replicas.Scaling(600.0))[-1] == 3
    assert asked.at(helm.query("cpu", "another", "rehearsal"), time.time()) == []


def test_an_alert_of_the_rules_fires(asked: Prometheus, servers: tuple[Server, Server]) -> None:
    began_s = time.time()
    servers[0].failed += 5
    until(lambda: "OnecardFails" in asked.alerts(began_s, time.time()))


def test_the_rehearsal_replays_the_formula_and_tells_of_alerts(asked: Prometheus) -> None:
    replay = Observed(asked, time.time() - 20).replay()
    # 960 s a server, as the chart has it of the plan without a card, and the most of the chart.
    assert (replay.most_left_s, replay.wanted) == (1500.0, 2)
    assert replay.shown == replay.by_prometheus == 4
    assert replay.faults() == []
    assert "OnecardFails" in replay.firing
    found = {"date": "2026-01-02T03:04:05", "machine": FACTS, "clip_s": 10.0,
             "killed": {"files": 3, "faults": [], "killed_after": 1, "callers": 2, "longest_s": 1.0,
                        "most_left_s": None, "prometheus": asdict(replay)}}  # fmt: skip
    page = report.markdown(found)
    assert "wants at most 2; with 30 s a server 4, and Prometheus' own arithmetic 4" in page
    assert "Alerts that fired: OnecardFails" in page
    (silent,) = replace(replay, points=[]).faults()
    assert "Prometheus has no audio left at any time" in silent
    (other,) = replace(replay, shown=1).faults()
    assert "wants 1 servers, and by Prometheus' own arithmetic it should be 4" in other


def test_what_is_no_promql_is_told(asked: Prometheus) -> None:
    with pytest.raises(ValueError, match="Prometheus refused `sum\\(`"):
        asked.at("sum(", time.time())


def test_a_dashboard_is_drawn_and_the_silent_panels_are_named(
    asked: Prometheus, tmp_path: Path
) -> None:
    now_s = time.time()
    drawn = panels.draw("overview.json", asked, panels.Window(now_s - 10, now_s, 1.0, 5.0))
    image = Image.open(io.BytesIO(panels.write("overview.json", drawn, tmp_path).read_bytes()))
    assert image.width > 900
    assert len(drawn.png) < 100_000
    assert "Queue" not in drawn.silent
    assert "Running" not in drawn.silent
    assert panels.is_of_a_card(drawn.silent["VRAM"][0])
    assert not panels.is_of_a_card(drawn.silent["Tokens"][0])


def test_the_configuration_that_ships_is_of_these_targets() -> None:
    text = prometheus.configured(["a:1", "b:2"], ["c:3"])
    assert '["a:1", "b:2"]' in text
    assert '["c:3"]' in text
    assert str(prometheus.RULES) in text

"""Two servers as a Prometheus sees them: what KEDA would read, the replicas, the alerts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import prometheus
from bench.prometheus import Points, Prometheus
from build_scripts.fleet import helm, replicas
from build_scripts.fleet.replicas import Scaling
from build_scripts.plans import plan
from build_scripts.server.settings import Settings

NAMESPACE, RELEASE, SERVER = "rehearsal", "onecard", "cpu"
STEP_S = 5.0
# A load of minutes is less than one server may have left, so the formula is shown on less as well.
SHOWN_S = 30.0


@dataclass(frozen=True)
class Replay:
    """The scaling formula on Prometheus' figures.

    Attributes:
        query: as the chart has it.
        points: its answer, every `STEP_S`.
        audio_seconds_per_replica: as the chart has it of the plan `cpu`.
        wanted, shown: the most servers by that, and by `SHOWN_S`.
        by_prometheus: the most by `SHOWN_S` if Prometheus does the division itself.
        firing, pending: alerts that were so at any time.
    """

    query: str
    points: Points
    audio_seconds_per_replica: float
    wanted: int
    shown: int
    by_prometheus: int
    firing: tuple[str, ...]
    pending: tuple[str, ...]

    @property
    def most_left_s(self) -> float:
        return max((left_s for _, left_s in self.points), default=0.0)

    def faults(self) -> list[str]:
        """What the figures cannot be if all is well."""
        if not self.most_left_s:
            return [f"Prometheus has no audio left at any time: `{self.query}`"]
        if self.shown != self.by_prometheus:
            return [
                f"the formula wants {self.shown} servers, and by Prometheus' own arithmetic it "
                f"should be {self.by_prometheus}"
            ]
        return []


@dataclass(frozen=True)
class Observed:
    """What `prometheus` has seen since `from_s`."""

    prometheus: Prometheus
    from_s: float

    def replay(self) -> Replay:
        query = helm.query(SERVER, RELEASE, NAMESPACE)
        usual = Scaling(helm.rate(plan.load(SERVER)) * helm.CLEARED_WITHIN_S)
        shown = Scaling(SHOWN_S)
        points = self._asked(query)
        bounds = f"{shown.min_replicas}, {shown.max_replicas}"
        divided = self._asked(f"clamp(ceil({query} / {SHOWN_S}), {bounds})")
        now_s = time.time()
        firing, pending = (
            tuple(self.prometheus.alerts(self.from_s, now_s, state))
            for state in ("firing", "pending")
        )
        return Replay(
            query=query,
            points=points,
            audio_seconds_per_replica=usual.audio_seconds_per_replica,
            wanted=max(replicas.replayed(points, usual), default=0),
            shown=max(replicas.replayed(points, shown), default=0),
            by_prometheus=round(max((number for _, number in divided), default=0)),
            firing=firing,
            pending=pending,
        )

    def _asked(self, promql: str) -> Points:
        found = self.prometheus.between(promql, self.from_s, time.time(), STEP_S)
        return [point for one in found for point in one.points]


@contextlib.contextmanager
def observed(servers: Sequence[Settings], folder: Path) -> Iterator[Observed]:
    """Servers that a Prometheus scrapes, with the labels that the chart's PodMonitor gives.

    Raises MachineError where there is no Prometheus.
    """
    labels = {"namespace": NAMESPACE, "onecard_server": SERVER, "onecard_release": RELEASE}
    targets = [f"{one.reachable_address}:{one.metrics_port}" for one in servers]
    with prometheus.scraping(prometheus.configured(targets, labels=labels), folder) as found:
        yield Observed(found, time.time())

"""Memory of all server processes while files of 5, 20 and 60 minutes are transcribed.

Counted is the proportional set size, which shares a page among the processes that map it, with
shared memory counted once and whole: Triton's regions in /dev/shm hold pages that nobody maps.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import recordings
from bench.interleave import is_quick, once
from bench.serving import Serving, serving
from build_scripts import processes
from build_scripts.server import state
from build_scripts.server.models import supervisor
from build_scripts.server.settings import Settings
from onecard.python_backend import malloc

MINUTES = (5, 5, 5, 20, 60)
QUICK_MINUTES = (5, 5, 5, 20)
PERIOD_S = 0.25
REST_S = malloc.PERIOD_S + 1.0  # by then every process has given back what it freed
KEPT_PERIOD_S = 1.0  # of the series in the results: the highest of each second
MIB = 2**20
MENTIONED_MIB = 10
SERVER = "server"  # whatever is no model's: Triton itself, and who watches it
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Sample:
    """Bytes: `own` of the processes of each model, and of Triton's; `shared` is shared memory."""

    time_s: float
    own: Mapping[str, int]
    shared: int

    @property
    def total(self) -> int:
        return sum(self.own.values()) + self.shared

    def grown_mib(self, before: Sample) -> dict[str, float]:
        """What each has more than `before`, the most first."""
        grown = {
            name: (self.own.get(name, 0) - before.own.get(name, 0)) / MIB
            for name in {*self.own, *before.own}
        }
        grown["shared memory"] = (self.shared - before.shared) / MIB
        return dict(sorted(grown.items(), key=lambda one: -one[1]))


def measure() -> dict[str, Any]:
    """Idle and peak bytes, growth by file, and the series for the plot."""
    with serving() as server, Meter(server.settings) as meter:
        server.client.transcribe(recordings.conversation())  # what every first request makes
        idle = _rest(meter)
        runs = [
            _run(server, meter, minutes, idle)
            for minutes in (QUICK_MINUTES if is_quick() else MINUTES)
        ]
        series = _thinned(meter.samples)
    longest = runs[-1]
    same = [run for run in runs if run["minutes"] == runs[0]["minutes"]]
    return {
        "idle_mib": idle.total / MIB,
        "runs": runs,
        "growth_ratio": once(longest["growth_mib"] / longest["pcm_mib"]),
        "length_ratio": once(_more(same[-1], longest, "peak_mib", "pcm_mib")),
        "third_run_ratio": once(same[2]["peak_mib"] / same[1]["peak_mib"]),
        "series": series,
    }


def _more(shorter: dict[str, Any], longer: dict[str, Any], figure: str, over: str) -> float:
    """How much more of one figure comes with more of another."""
    more: float = (longer[figure] - shorter[figure]) / (longer[over] - shorter[over])
    return more


class Meter:
    """Samples a server's memory in a thread, until the block is left."""

    def __init__(self, settings: Settings) -> None:
        self.samples: list[Sample] = []
        self._settings = settings
        self._started_s = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def now_s(self) -> float:
        """Seconds since the first sample."""
        return time.monotonic() - self._started_s

    def peak(self, start_s: float) -> Sample:
        """The highest of the samples taken after `start_s`."""
        after = [sample for sample in self.samples if sample.time_s >= start_s]
        return max(after, key=lambda sample: sample.total)

    def _run(self) -> None:
        while not self._is_over.wait(PERIOD_S):
            self.samples.append(taken(self._settings, self.now_s()))


def taken(settings: Settings, now_s: float) -> Sample:
    """What the processes of one server have, and its shared memory."""
    watching = state.state(settings).get("supervisor")
    pids = {*processes.mentioning(settings.shm_prefix), *([int(watching)] if watching else [])}
    own: Counter[str] = Counter()
    mapped = 0
    for pid in pids:
        total, shared = _proportional(pid)
        own[supervisor.model_of(pid) or SERVER] += total - shared
        mapped += shared
    regions = 0
    for region in SHARED_MEMORY.glob(f"{settings.shm_prefix}*"):
        with contextlib.suppress(OSError):
            regions += region.stat().st_blocks * 512
    return Sample(now_s, own, max(mapped, regions))


def _proportional(pid: int) -> tuple[int, int]:
    """Proportional set size, and how much of it is shared memory; nothing of one that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("Pss", "Pss_Shmem"))  # type: ignore[return-value]


def _rest(meter: Meter) -> Sample:
    """The level after a moment without requests."""
    time.sleep(REST_S)
    start_s = meter.now_s()
    time.sleep(REST_S)
    return meter.peak(start_s)


def _run(server: Serving, meter: Meter, minutes: int, idle: Sample) -> dict[str, Any]:
    pcm = recordings.clip(60 * minutes)
    audio = recordings.wav(recordings.fresh(pcm))
    start_s = meter.now_s()
    server.client.transcribe(audio, language="en")
    elapsed_s = meter.now_s() - start_s
    peak = meter.peak(start_s)
    grown = peak.grown_mib(idle)
    run: dict[str, Any] = {
        "minutes": minutes,
        "seconds": elapsed_s,
        "pcm_mib": pcm.nbytes / MIB,
        "peak_mib": peak.total / MIB,
        "growth_mib": (peak.total - idle.total) / MIB,
        "grown_mib": grown,
        "after_mib": _rest(meter).total / MIB,
    }
    most = ", ".join(f"{name} {mib:.0f}" for name, mib in grown.items() if mib >= MENTIONED_MIB)
    print(
        f"  {minutes} min in {elapsed_s:.0f} s: peak {run['peak_mib']:.0f} MiB, "
        f"{run['growth_mib']:.0f} over idle ({idle.total / MIB:.0f}), "
        f"{run['growth_mib'] / run['pcm_mib']:.1f} times its PCM ({run['pcm_mib']:.0f} MiB); "
        f"{run['after_mib']:.0f} afterwards; at the peak {most}",
        flush=True,
    )
    return run


def _thinned(samples: list[Sample]) -> dict[str, list[float]]:
    """The highest sample of each second, in MiB."""
    highest: dict[int, Sample] = {}
    for sample in samples:
        second = int(sample.time_s / KEPT_PERIOD_S)
        if second not in highest or highest[second].total < sample.total:
            highest[second] = sample
    kept = list(highest.values())
    return {
        "time_s": [round(sample.time_s, 1) for sample in kept],
        "own_mib": [round((sample.total - sample.shared) / MIB, 1) for sample in kept],
        "shared_mib": [round(sample.shared / MIB, 1) for sample in kept],
    }

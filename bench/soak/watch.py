"""What a server holds while a soak runs: memory, open files, shared memory, room on disk."""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.measures import memory
from build_scripts import processes
from build_scripts.server import state
from build_scripts.server.settings import Settings

MIB = 2**20
MAX_KEPT = 1000  # samples in the results
NUM_BLOCKS = 20  # of the series a slope is found in; within one, samples depend on each other
WARM_S = 600.0  # what comes first is no slope: caches fill
MIN_SLOPE_S = 600.0  # a shorter time says nothing of an hour


@dataclass(frozen=True)
class Sample:
    """All processes of one server.

    Attributes:
        pss_mib: proportional set size, with shared memory once and whole.
        spool_mib: recordings on disk, in files without a name.
    """

    time_s: float
    pss_mib: float
    num_processes: int
    num_files: int
    shm_mib: float
    spool_mib: float


def taken(settings: Settings, memory_now: memory.Sample) -> Sample:
    """What the server holds beside that memory; what ends meanwhile counts as nothing."""
    supervisor = state.state(settings).get("supervisor")
    pids = {*processes.mentioning(settings.shm_prefix), *([int(supervisor)] if supervisor else [])}
    files, spools = 0, 0
    for pid in pids:
        num_files, spool_bytes = _files(pid)
        files, spools = files + num_files, spools + spool_bytes
    regions = 0
    for region in memory.SHARED_MEMORY.glob(f"{settings.shm_prefix}*"):
        with contextlib.suppress(OSError):
            regions += region.stat().st_blocks * 512
    return Sample(
        round(memory_now.time_s, 1), round(memory_now.total / MIB, 1), len(pids), files,
        round(regions / MIB, 1), round(spools / MIB, 1),
    )  # fmt: skip


def _files(pid: int) -> tuple[int, int]:
    """Open descriptors of a process, and the bytes of spools among them."""
    num_files, spool_bytes = 0, 0
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            num_files += 1
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if "/onecard-" in target and target.endswith(" (deleted)"):
                    spool_bytes += entry.stat().st_blocks * 512
    return num_files, spool_bytes


class Watch:
    """Samples in a thread until the block is left."""

    def __init__(self, settings: Settings, clock: Callable[[], float], period_s: float) -> None:
        self.samples: list[Sample] = []
        self._settings, self._clock, self._period_s = settings, clock, period_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Watch:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._is_over.wait(self._period_s):
            self._sample()

    def _sample(self) -> None:
        memory_now = memory.taken(self._settings, self._clock())
        self.samples.append(taken(self._settings, memory_now))


@dataclass(frozen=True)
class Slope:
    """What a figure grew by in an hour, and the standard error of that."""

    per_hour: float
    error: float

    @property
    def is_level(self) -> bool:
        """Whether it cannot be told from 0."""
        return abs(self.per_hour) <= 2 * self.error


def slope(times_s: Sequence[float], values: Sequence[float]) -> Slope | None:
    """The slope of a line through the medians of blocks, after `WARM_S`.

    None where less than `MIN_SLOPE_S` are left.
    """
    kept = [one for one in zip(times_s, values, strict=True) if one[0] >= WARM_S]
    if len(kept) < 2 * NUM_BLOCKS or kept[-1][0] - kept[0][0] < MIN_SLOPE_S:
        return None
    size = len(kept) / NUM_BLOCKS
    blocks = [kept[round(at * size) : round((at + 1) * size)] for at in range(NUM_BLOCKS)]
    hours = [statistics.fmean(time_s for time_s, _ in block) / 3600.0 for block in blocks]
    levels = [statistics.median(value for _, value in block) for block in blocks]
    line = statistics.linear_regression(hours, levels)
    rest = sum(
        (y - line.slope * x - line.intercept) ** 2 for x, y in zip(hours, levels, strict=True)
    )
    middle = statistics.fmean(hours)
    spread = sum((x - middle) ** 2 for x in hours)
    return Slope(line.slope, math.sqrt(rest / (NUM_BLOCKS - 2) / spread))


def thinned(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Each figure as a series, of at most `MAX_KEPT` samples."""
    step = max(1, math.ceil(len(samples) / MAX_KEPT))
    kept = [asdict(sample) for sample in samples[::step]]
    return {name: [sample[name] for sample in kept] for name in kept[0]} if kept else {}

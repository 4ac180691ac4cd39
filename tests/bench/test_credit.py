"""What an hour that was cancelled is credited with, and what memory a process is seen to have."""

from __future__ import annotations

import mmap
import os

import pytest

from bench import company, memory, serving
from onecard_client import Progress

COSTS = {"detect_speech": 1.0, "recognize": 5.0, "align": 1.0, "diarize": 3.0, "whisper": 4.0}
TIMES = {
    name: {"requests": 3, "queue_s": 9.0, "compute_s": seconds} for name, seconds in COSTS.items()
}


def test_work_is_credited_by_what_a_stage_costs():
    done = company.Finished()
    done.advance(Progress("decode_audio", 0, 1))
    done.advance(Progress("detect_speech", 0, 1))
    assert company._credit(TIMES, done) == 0.0
    done.advance(Progress("recognize", 30, 120))
    # All of the detection, a quarter of recognition and alignment, none of the diarization.
    assert company._credit(TIMES, done) == pytest.approx((1.0 + 6.0 / 4) / 10.0)


def test_spent_is_the_difference_of_two_looks_without_the_idle():
    later = {**TIMES, "align": {"requests": 5, "queue_s": 10.0, "compute_s": 3.5}}
    found = serving.spent(TIMES, later)
    assert found == {"align": {"requests": 2, "queue_s": 1.0, "compute_s": 2.5}}


def test_memory_of_a_process_includes_what_it_touched():
    before, _ = memory._proportional(os.getpid())
    size = 64 * memory.MIB
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"x" * size)
        after, shared = memory._proportional(os.getpid())
        assert after - before > 0.9 * size
        assert shared <= after
    assert memory._proportional(2**22 + 1) == (0, 0)  # nobody


def test_growth_is_told_by_who_has_it() -> None:
    mib = memory.MIB
    idle = memory.Sample(0.0, {"align": 2 * mib, "gone": mib}, 5 * mib)
    peak = memory.Sample(1.0, {"align": 5 * mib, "new": mib}, 6 * mib)
    wanted = {"align": 3.0, "new": 1.0, "shared memory": 1.0, "gone": -1.0}
    assert peak.grown_mib(idle) == wanted
    first, *_, last = peak.grown_mib(idle)
    assert (first, last) == ("align", "gone")
    assert peak.total == 12 * mib

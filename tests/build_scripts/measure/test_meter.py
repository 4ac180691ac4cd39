"""The resident memory of a process that measures on the CPU."""

from __future__ import annotations

import subprocess
import sys

import pytest

MIB = 2**20


def test_the_resident_memory_is_what_a_tensor_takes() -> None:
    # In a process of its own, as it is used: the memory of this one belongs to all tests.
    code = (
        "import torch; from build_scripts.measure import meter as measure_meter\n"
        "meter = measure_meter.CpuMeter(); before = meter.held()\n"
        f"kept = torch.ones(64 * {MIB}, dtype=torch.uint8); first = meter.peak() - before\n"
        "del kept; meter.held()\n"  # the peak begins anew
        "print(first, meter.peak() - before)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = (int(text) for text in ran.stdout.split())
    assert first == pytest.approx(64 * MIB, abs=4 * MIB)
    assert second < 8 * MIB

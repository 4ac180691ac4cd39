"""What was freed goes back to the kernel, and not at every call."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, whose heap nothing else fills.
PROGRAM = """
import re
from pathlib import Path
from onecard import heap

heap.PERIOD_S = 600.0

def resident_mib():
    found = re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024

kept, freed = [], []
for _ in range(5_000):  # 100 MiB, and what stays in between
    freed.append(bytes(20_000))
    kept.append(bytes(600))
before = resident_mib()
freed.clear()
held = resident_mib()
heap.trim()
after = resident_mib()
freed = [bytes(20_000) for _ in range(5_000)]
again = resident_mib()
freed.clear()
heap.trim()
print(before, held, after, again, resident_mib())
"""


def test_what_was_freed_is_given_back_now_and_then() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    before, held, after, again, at_once = map(float, done.stdout.split())
    assert held > before - 30  # the library kept it
    assert after < held - 60
    assert at_once > again - 30  # a moment later it may keep it

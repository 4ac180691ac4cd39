"""What was freed goes back to the kernel, and not at every call."""

from __future__ import annotations

import subprocess
import sys

# Each in a process of its own, whose heap nothing else fills.
TRIMMED = """
import re, threading, time
from pathlib import Path
from onecard.python_backend import malloc

def resident_mib():
    found = re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024

malloc.PERIOD_S = 2.0
malloc.trim()  # at once: the next ones wait
time.sleep(0.5)
kept, freed = [], []
for _ in range(2):
    for _ in range(5_000):  # 100 MiB, and what stays in between
        freed.append(bytes(20_000))
        kept.append(bytes(600))
    before = resident_mib()
    freed.clear()
    for _ in range(100):
        malloc.trim()
    print(before, resident_mib(), threading.active_count())
    time.sleep(2)
    print(resident_mib())
"""
KEPT = """
import ctypes, resource, sys, threading
from onecard.python_backend import malloc

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of one size
if sys.argv[1] == "keep":
    malloc.keep()

def work():
    for _ in range(10):
        b"1" * (malloc.KEPT - 2**20)

def in_a_thread():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

in_a_thread()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
in_a_thread()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(program: str, *arguments: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return [float(figure) for figure in done.stdout.split()]


def test_what_was_freed_is_given_back_a_while_later() -> None:
    found = run(TRIMMED)
    for before, at_once, num_threads, later in (found[:4], found[4:]):
        assert at_once > before - 30  # the library kept it
        assert num_threads == 2  # one for all calls
        assert later < before - 60


def test_large_blocks_are_used_again_by_threads() -> None:
    (mapped_anew,) = run(KEPT, "leave")
    (kept,) = run(KEPT, "keep")
    assert mapped_anew > 10_000  # pages of ten times 79 MiB
    assert kept < mapped_anew / 20

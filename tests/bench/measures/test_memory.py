"""What memory a process is seen to have, and whose growth it is."""

from __future__ import annotations

import subprocess
import sys

from bench.measures import memory

MIB = memory.MIB
BLOCK_MIB = 64

# A process of its own: what it has changes by nothing but the block. It says when the block is
# there, and lives until its standard input is closed.
CHILD = """
import mmap, sys
block = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if sys.argv[2] == "touched":
    block.write(b"x" * len(block))
print("ready", flush=True)
sys.stdin.read()
"""


def proportional(state: str) -> tuple[int, int]:
    """What the meter sees of a process that holds a block and has `touched` it, or not."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", CHILD, str(BLOCK_MIB * MIB), state],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        return memory._proportional(child.pid)


def test_memory_of_a_process_includes_what_it_touched_and_nothing_else():
    untouched, _ = proportional("untouched")
    touched, shared = proportional("touched")
    # Beside the block stands an interpreter of some 10 MiB, whose share moves with how many others
    # have its pages.
    assert 0 < untouched < 32 * MIB
    assert touched > BLOCK_MIB * MIB
    assert touched - untouched < (BLOCK_MIB + 32) * MIB
    assert 0 <= shared < MIB  # the block is nobody else's


def test_a_process_that_is_gone_has_nothing():
    assert memory._proportional(2**22 + 1) == (0, 0)


def test_growth_is_told_by_who_has_it() -> None:
    idle = memory.Sample(0.0, {"align": 2 * MIB, "gone": MIB}, 5 * MIB)
    peak = memory.Sample(1.0, {"align": 5 * MIB, "new": MIB}, 6 * MIB)
    wanted = {"align": 3.0, "new": 1.0, "shared memory": 1.0, "gone": -1.0}
    assert peak.grown_mib(idle) == wanted
    first, *_, last = peak.grown_mib(idle)
    assert (first, last) == ("align", "gone")
    assert peak.total == 12 * MIB

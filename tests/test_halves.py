"""A worker that dies ends a run of two, which names the test and leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import halves
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
DIES = """
import os, signal, subprocess
from pathlib import Path

def test_dies():
    started = subprocess.Popen(["sleep", "1000"])
    Path("started").write_text(str(started.pid))
    os.kill(os.getpid(), signal.SIGKILL)
"""
# The other worker's: the first test waits for the death of the worker, which happens meanwhile.
LIVES = """
import time
from pathlib import Path

def test_first():
    while not Path("started").exists() or Path("/proc", Path("started").read_text()).exists():
        time.sleep(0.05)

def test_second(): pass
def test_never(): Path("never").touch()
def test_never_either(): Path("never").touch()
"""


def test_every_file_of_a_half_is_there() -> None:
    named = {name.partition("::")[0] for name in {*halves.ORDER, *halves.SLOW, *halves.MARKED}}
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_no_core_is_of_two_workers_and_none_is_left_out() -> None:
    for cores in ([0, 1], [0, 1, 2], [3], list(range(16))):
        own = [halves.own_cores(cores, number, 2) for number in range(2)]
        assert sorted([*own[0], *own[1]]) == cores
        assert abs(len(own[0]) - len(own[1])) <= 1


def test_a_worker_that_is_killed_ends_the_run_and_what_it_started(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name, code in (("dies", DIES), ("lives", LIVES)):
        (tmp_path / f"test_{name}.py").write_text(code)
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    environment["PYTHONPATH"] = str(ROOT)
    options = ["-n", "2", "--max-worker-restart=0", "-p", "tests.halves", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "crashed while running 'test_dies.py::test_dies'" in ran.stdout
    assert "1 failed, 2 passed" in ran.stdout
    assert not (tmp_path / "never").exists()
    assert not Path("/proc", (tmp_path / "started").read_text()).exists()

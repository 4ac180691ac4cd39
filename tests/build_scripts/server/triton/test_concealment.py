"""A secret in the arguments of a process, and then no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_scripts.server.triton.concealment import conceal
from tests.waiting import PATIENCE_S

SECRET = "a-secret-of-this-test"
SCRIPT = "import sys; print(sys.argv[1], flush=True); sys.stdin.readline(); print(sys.argv[1])"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SCRIPT, f"--api=a,b:key={SECRET}", "last"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as found:
        assert found.stdout is not None
        assert SECRET in found.stdout.readline()  # it has read its arguments
        yield found
        found.kill()


def test_the_secret_is_gone_and_the_rest_is_as_it_was(process: subprocess.Popen[str]) -> None:
    cmdline = Path(f"/proc/{process.pid}/cmdline")
    before = cmdline.read_bytes()
    assert SECRET.encode() in before
    if not conceal(process.pid, SECRET):
        pytest.skip("this kernel lets no process write to its children's memory")
    assert cmdline.read_bytes() == before.replace(SECRET.encode(), b"x" * len(SECRET))
    assert conceal(process.pid, SECRET)
    said, _ = process.communicate("go on\n", timeout=PATIENCE_S)
    assert SECRET in said  # the process itself has its copy


def test_a_process_that_is_gone_has_nothing_to_hide(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert not conceal(process.pid, SECRET)

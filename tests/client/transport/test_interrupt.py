"""Ctrl-C while gRPC is at work, in a process of its own: `interrupts.py` holds the tests.

Other tests load libraries into this process that answer a real SIGINT in ways of their own.
"""

import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE_S


def test_interrupts() -> None:
    tests = Path(__file__).parents[1] / "interrupts.py"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(tests)],
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout

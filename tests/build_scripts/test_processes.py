"""Which processes there are, as /proc tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from build_scripts import processes


def test_children_are_those_that_a_process_started_itself() -> None:
    nested = "import subprocess; subprocess.Popen(['sleep', '60']); print(flush=True); input()"
    command = [sys.executable, "-c", nested]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        parent.stdout.readline()
        [grandchild] = processes.children(parent.pid)
        assert parent.pid in processes.children(os.getpid())
        assert grandchild not in processes.children(os.getpid())
        os.kill(grandchild, 9)
        deadline_s = time.monotonic() + 10
        while not processes.zombies(parent.pid) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert processes.children(parent.pid) == [grandchild]  # nobody has looked after it
    finally:
        parent.communicate()
    assert processes.children(parent.pid) == []

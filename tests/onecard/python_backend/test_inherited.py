"""A process that was started with somebody's sockets gives them back, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

CODE = """
import os, sys
from onecard.python_backend import inherited
kept = os.open(os.devnull, os.O_RDONLY)
print(inherited.close_sockets(), inherited.close_sockets(), os.fstat(kept).st_size, flush=True)
sys.stdin.read()
"""


def test_the_peer_sees_that_a_connection_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours, socket.create_server(("127.0.0.1", 0)) as listener:
        child = subprocess.Popen(
            [sys.executable, "-c", CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[theirs.fileno(), listener.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == "2 0 0\n"
            theirs.close()
            ours.settimeout(60)
            assert ours.recv(1) == b""  # while the child lives
            child.communicate("")
    assert child.returncode == 0

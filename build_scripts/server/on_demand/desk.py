"""A socket where processes of models ask for a model on demand, and keep it while connected.

A process that ends, however it does, gives back what it had: the kernel closes its connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from pathlib import Path

from build_scripts.server.on_demand.turns import Refused, Turns
from onecard.recognition import lease

MAX_LINE_BYTES = 1000
FIRST_LINE_S = 10.0


class Desk:
    """Opened before its Triton is started, closed after that has ended."""

    def __init__(self, path: Path, turns: Turns) -> None:
        self.turns = turns
        self.path = path
        path.unlink(missing_ok=True)
        with lease.address(path) as address:
            self._server = _Server(address, turns)
        os.chmod(path, 0o600)
        serving = threading.Thread(target=self._server.serve_forever, name="desk", daemon=True)
        serving.start()

    def close(self) -> None:
        """Take no more requests; who has a model keeps it."""
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: str, turns: Turns) -> None:
        self.turns = turns
        super().__init__(address, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = FIRST_LINE_S

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            model = str(json.loads(self.rfile.readline(MAX_LINE_BYTES))["model"])
            self.connection.settimeout(None)
            try:
                with self.server.turns.turn(model, self._is_gone) as turn:
                    self._say(load_s=round(turn.load_s, 3), wait_s=round(turn.wait_s, 3))
                    if self.rfile.readline(MAX_LINE_BYTES).strip() == lease.BROKEN:
                        self.server.turns.report(model)
            except Refused as refusal:
                self._say(error=str(refusal))

    def _say(self, **document: float | str) -> None:
        self.wfile.write(json.dumps(document).encode() + b"\n")

    def _is_gone(self) -> bool:
        """Whether the other side has closed; nothing else is sent while it waits."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False

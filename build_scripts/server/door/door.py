"""The one way to a Triton: a process that has its ports, and knows who may ask it what.

Triton itself listens on ports of 127.0.0.1 that are found at each start, and answers there to
nobody without the secret of that start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from build_scripts import child_process, paths, processes
from build_scripts.errors import ServerError
from build_scripts.server.door.order import FILE, METRICS_FILE, OPEN, Order
from build_scripts.server.settings import LOOPBACK, Inner, Settings

RETRY_S = 5.0


class Door:
    """Opened before Triton is started, and closed after it has ended."""

    def __init__(self, server: Settings, secret: str, say: Callable[[str], None]) -> None:
        self._settings = server
        self._secret = secret
        self._say = say
        self._process: subprocess.Popen[str] | None = None
        self._next_try_s = 0.0
        self.on_demand: tuple[str, ...] = ()  # models that come and go
        self._held = [_held() for _ in range(4)]
        ports = [one.getsockname()[1] for one in self._held]
        self.inner = Inner(*ports[:3])
        self._local_grpc_port: int = ports[3] if server.tls is not None else 0

    @property
    def grpc_target(self) -> str:
        """Where gRPC is reached from here, without TLS."""
        if self._local_grpc_port:
            return f"{LOOPBACK}:{self._local_grpc_port}"
        return f"{self._settings.reachable_address}:{self._settings.grpc_port}"

    def open(self) -> None:
        """Raises ServerError where a port cannot be opened."""
        self._order().save(self._settings.run)
        self._process = self._started()

    def keep(self) -> None:
        """Open it again where its process has ended, and while that fails now and then."""
        if self._process is None or self._process.poll() is None:
            return
        if time.monotonic() < self._next_try_s:
            return
        how = processes.ended(self._process.returncode)
        self._say(f"the process at the ports ended with {how}; starting it again")
        try:
            self._process = self._started()
        except ServerError as error:
            self._say(f"{error}; next attempt in {RETRY_S:.0f} s")
            self._next_try_s = time.monotonic() + RETRY_S

    def close(self) -> None:
        """End the process; callers have had their answers."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        for one in self._held:
            one.close()
        (self._settings.run / FILE).unlink(missing_ok=True)

    def _started(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "build_scripts.server.door.process",
                str(self._settings.http_port),
            ],
            cwd=paths.ROOT,
            env=_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C at the terminal is a drain
            # It has no mark of the server's, by which it would end with each Triton that is cleaned
            # up after (`claim`): callers keep their connections.
            preexec_fn=partial(child_process.end_with_parent, signal.SIGKILL),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended early, and says so below
            process.stdin.write(self._order().write() + "\n")
            process.stdin.close()
        said = process.stdout.readline().strip()
        process.stdout.close()
        if said != OPEN:
            process.kill()
            process.wait()
            raise ServerError(f"the ports could not be opened: {said or 'it said nothing'}")
        return process

    def _order(self) -> Order:
        tls = self._settings.tls
        return Order(
            address=self._settings.address,
            http_port=self._settings.http_port,
            grpc_port=self._settings.grpc_port,
            metrics_port=self._settings.metrics_port,
            inner_http_port=self.inner.http_port,
            inner_grpc_port=self.inner.grpc_port,
            inner_metrics_port=self.inner.metrics_port,
            secret=self._secret,
            hosts=self._settings.allowed_hosts,
            on_demand=self.on_demand,
            http_address=self._settings.http_address,
            more_metrics=str(self._settings.run / METRICS_FILE),
            certificate=str(tls.certificate) if tls else "",
            key=str(tls.key) if tls else "",
            roots=str(tls.roots) if tls and tls.roots else "",
            local_grpc_port=self._local_grpc_port,
        )


def _environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """gRPC's own messages, such as of a caller that hung up, are nobody's concern."""
    return {"GRPC_VERBOSITY": "NONE", **inherited}


def _held() -> socket.socket:
    """A socket that keeps a free port from everybody else who asks for any, and lets a server
    listen on it: sockets may share one as long as only one listens (socket(7), SO_REUSEADDR)."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held

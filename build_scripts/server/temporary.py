"""A server for the demo, benchmarks and tests: one of its own, or the one that runs already."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from build_scripts import child_process, paths, processes
from build_scripts.console import say
from build_scripts.server import running as waiting
from build_scripts.server import settings, state
from build_scripts.server.settings import Settings

_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


@contextlib.contextmanager
def at_hand() -> Iterator[Settings]:
    """The server that runs on the usual ports, which goes on running, else `running()`.

    Two would not fit on one GPU. Raises ServerError where it does not become ready.
    """
    usual = _settings([])
    if not state.is_held(usual.run):
        with running() as own:
            yield own
        return
    say(f"\nusing the server that runs on port {usual.http_port}")
    if state.trouble(state.state(usual)):
        waiting.wait(usual, waiting.WAIT_TIMEOUT_S)
    found = state.state(usual)
    # one that an older `serve` recorded has no port
    grpc_port = found.get("grpc_port", usual.grpc_port)
    yield dataclasses.replace(usual, plan=found["plan"], grpc_port=grpc_port)


@contextlib.contextmanager
def running(has_gateway: bool = False) -> Iterator[Settings]:
    """A ready server on free ports; ended when the block is left, however it is left.

    Raises ServerError where it does not become ready.
    """
    with Temporary(has_gateway) as server:
        yield server.settings


@contextlib.contextmanager
def told(name: str, value: str) -> Iterator[None]:
    """Servers that are started in this block have the environment's variable `name`."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


class Temporary:
    """A server on free ports that can be started again at the same ones.

    Started with its block, and ended with it, however it is left.

    Args:
        has_gateway: serve the gateway beside it, at `settings.gateway_port`.
    """

    def __init__(self, has_gateway: bool = False) -> None:
        names = ["--http-port", "--grpc-port", "--metrics-port"]
        self._flags = ["--gateway", "1" if has_gateway else "0"]
        names += ["--gateway-port"] if has_gateway else []
        for name, port in zip(names, free_ports(len(names)), strict=True):
            self._flags += [name, str(port)]
        self.settings = _settings(self._flags)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Temporary:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it is ready. Raises ServerError where it does not become so."""
        server = self.settings
        server.messages.parent.mkdir(parents=True, exist_ok=True)
        with server.messages.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "build_scripts", "serve", *self._flags],
                cwd=paths.ROOT,
                env={**os.environ, "DETACH": ""},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=child_process.end_with_parent,
            )
        while self._process.poll() is None and not state.is_held(server.run):
            time.sleep(waiting.POLL_S)
        waiting.wait(server, waiting.WAIT_TIMEOUT_S)

    def stop(self) -> None:
        """Have the requests in flight end, then the server; returns when it has."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait()

    def restart(self) -> None:
        """As an upgrade does. Raises ServerError where it does not become ready again."""
        self.stop()
        self.start()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now.

    They lie below those that the kernel hands out by itself, so that no connection takes one
    before a server does; where too few lie there, the kernel hands them out.
    """
    below = range(1024, int(_HANDED_OUT.read_text(encoding="ascii").split()[0]))
    shuffled = random.sample(below, len(below))
    free = (port for port in shuffled if processes.is_free("127.0.0.1", port))
    ports = list(itertools.islice(free, count))
    return ports if len(ports) == count else _handed_out(count)


def _settings(flags: list[str]) -> Settings:
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args(flags))


def _handed_out(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]

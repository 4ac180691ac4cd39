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
def running() -> Iterator[Settings]:
    """A ready server on free ports; ended when the block is left, however it is left.

    Raises ServerError where it does not become ready.
    """
    flags = []
    names = ("--http-port", "--grpc-port", "--metrics-port")
    for name, port in zip(names, free_ports(len(names)), strict=True):
        flags += [name, str(port)]
    server = _settings(flags)
    server.messages.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "build_scripts", "serve", *flags]
    with server.messages.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=paths.ROOT,
            env={**os.environ, "DETACH": ""},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=child_process.end_with_parent,
        )
    try:
        while process.poll() is None and not state.is_held(server.run):
            time.sleep(waiting.POLL_S)
        waiting.wait(server, waiting.WAIT_TIMEOUT_S)
        yield server
    finally:
        process.terminate()
        process.wait()


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

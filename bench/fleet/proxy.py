"""haproxy in front of two servers, by the configuration that ships."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths, processes
from build_scripts.errors import MachineError
from build_scripts.server.temporary import free_ports

CONFIGURATION = paths.ROOT / "docker" / "haproxy.cfg"
START_S = 30.0


@dataclass(frozen=True)
class Target:
    """Ports of 127.0.0.1 of one server."""

    grpc_port: int
    http_port: int


def binary() -> str:
    """The path of haproxy. Raises MachineError where there is none."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if found is None:
        raise MachineError("there is no `haproxy`, wanted to balance: `apt-get install haproxy`")
    return found


def configured(port: int, targets: Sequence[Target]) -> str:
    """The configuration with these ports. Raises ValueError unless there are two servers."""
    if len(targets) != 2:
        raise ValueError(f"there are `{len(targets)}` servers, must be 2 as in {CONFIGURATION}")
    text = CONFIGURATION.read_text(encoding="utf-8")
    first, second = targets
    for old, new in (
        ("127.0.0.1:8001 port 8000", f"127.0.0.1:{first.grpc_port} port {first.http_port}"),
        ("127.0.0.1:8011 port 8010", f"127.0.0.1:{second.grpc_port} port {second.http_port}"),
        ("bind 127.0.0.1:18001", f"bind 127.0.0.1:{port}"),
    ):
        if text.count(old) != 1:
            raise ValueError(f"`{old}` is in {CONFIGURATION} `{text.count(old)}` times, must be 1")
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def balanced(targets: Sequence[Target], folder: Path) -> Iterator[str]:
    """The gRPC address of haproxy in front of `targets`; ended when the block is left.

    Raises MachineError where haproxy is missing or does not start.
    """
    (port,) = free_ports(1)
    path = folder / "haproxy.cfg"
    path.write_text(configured(port, targets), encoding="utf-8")
    process = subprocess.Popen(
        [binary(), "-db", "-f", str(path)], stderr=subprocess.PIPE, text=True
    )
    try:
        until_s = time.monotonic() + START_S
        while processes.is_free("127.0.0.1", port):
            if process.poll() is not None or time.monotonic() > until_s:
                process.kill()
                raise MachineError(f"haproxy did not start: {process.communicate()[1].strip()}")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()

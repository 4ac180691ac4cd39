"""The real server, started once for all tests that need it, and where the speech samples are."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton

from bench.serving import owner_client
from build_scripts import paths
from build_scripts.server import state as claim
from build_scripts.server import supervisor
from build_scripts.server.door.order import owner_headers
from build_scripts.server.temporary import free_ports
from tests.halves import (  # noqa: F401 (hooks)
    pytest_collection_modifyitems,
    pytest_runtest_setup,
    pytest_xdist_make_scheduler,
)

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / ".samples"
READY_TIMEOUT_S = 240
# What tests ask of a server need not be fast, and there are many servers: they start sooner.
os.environ.setdefault("WARMUP", "0")
# A shell's background jobs ignore Ctrl-C, and so would every command that a test interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Server:
    """A running server: its addresses (`127.0.0.1:port`) and the pid of `build_scripts serve`."""

    grpc_url: str
    http_url: str
    metrics_url: str
    pid: int

    @property
    def owner(self) -> dict[str, str]:
        """The header with which its owner reaches every model and API of it."""
        return owner_headers(self.http_url)

    def client(self) -> triton.InferenceServerClient:
        """Its owner's gRPC client."""
        return owner_client(self.grpc_url)

    def triton_pid(self) -> int:
        """The tritonserver that `build_scripts serve` runs."""
        pid = int(self.state()["server"])
        assert pid, "Triton ended, and another one is not started yet"
        return pid

    def processes(self, model: str) -> list[int]:
        """The pids of a model's processes."""
        stubs = supervisor.stubs(self.triton_pid())
        return sorted(pid for pid, served in stubs.items() if served == model)

    def kill(self, model: str) -> None:
        """`kill -9` of every process of a model."""
        for pid in self.processes(model):
            os.kill(pid, signal.SIGKILL)

    def state(self) -> dict[str, Any]:
        """What `serve` recorded for others to read."""
        run = paths.RUN / self.http_url.rpartition(":")[2]
        found: dict[str, Any] = json.loads((run / claim.STATE).read_text())
        return found


def is_ready(http_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{http_url}/v2/health/ready", timeout=2) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`make serve` on free ports.

    With `ONECARD_TEST_SERVER=pid:http:grpc:metrics` a `make serve` that runs already is used.
    """
    running = os.environ.get("ONECARD_TEST_SERVER")
    if running:
        pid, http, grpc, metrics = (int(part) for part in running.split(":"))
        yield Server(*(f"127.0.0.1:{port}" for port in (grpc, http, metrics)), pid)
        return
    with serving(tmp_path_factory.mktemp("server")) as one:
        yield one


@contextlib.contextmanager
def serving(directory: Path, **environment: str) -> Iterator[Server]:
    """A server of one's own; ends with SIGTERM, and must then end by itself."""
    http, grpc, metrics = free_ports(3)
    log = directory / "log"
    ports = {"HTTP_PORT": str(http), "GRPC_PORT": str(grpc), "METRICS_PORT": str(metrics)}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "build_scripts", "serve"],
            cwd=ROOT,
            env={**os.environ, **environment, **ports},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"127.0.0.1:{http}"
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the server did not become ready:\n{log.read_text()[-5000:]}")
        time.sleep(0.5)
    yield Server(f"127.0.0.1:{grpc}", url, f"127.0.0.1:{metrics}", process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=90) == 0, log.read_text()[-5000:]


@pytest.fixture(scope="session")
def conversation() -> Path:
    """30 s of telephone talk, two speakers, English; its reference turns lie beside it (.rttm)."""
    return SAMPLES / "conversation" / "sample.wav"

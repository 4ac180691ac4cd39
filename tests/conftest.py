"""The real server, started once for all tests that need it, and where the speech samples are."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import tritonclient.grpc as triton

from bench.serving import owner_client
from build_scripts import paths, processes
from build_scripts.server import state as claim
from build_scripts.server.door.order import owner_headers
from build_scripts.server.models import supervisor
from build_scripts.server.temporary import free_ports
from evaluation import recordings
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / ".samples"
SERVER = pytest.StashKey["Server"]()
LOST = pytest.StashKey[bool]()  # it was waited for in vain
FEW_WORDS = "And so my fellow Americans"
pytest_plugins = ["tests.halves"]
# What tests ask of a server need not be fast, and there are many servers: they start sooner.
os.environ.setdefault("WARMUP", "0")
# Other work on the machine would leave nothing for a language model that lets everybody go first.
os.environ.setdefault("ONECARD_CPU_NICE", "0")
# pyannote.audio reports each use to its makers otherwise.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
# No test takes up the jobs of whoever works here, nor what was used.
os.environ["GATEWAY_JOBS_FOLDER"] = os.environ["GATEWAY_USAGE_FILE"] = ""
# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("onecard", deadline=None)
hypothesis.settings.load_profile("onecard")
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
    # Models and the processes that they had when a test killed some.
    _killed: dict[str, list[int]] = field(default_factory=dict)

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
        self.kill_some(model, self.processes(model))

    def kill_some(self, model: str, pids: list[int]) -> None:
        """`kill -9` of some processes of a model, which is then loaded again, with all of them."""
        self._killed[model] = self.processes(model)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def until_well(self) -> None:
        """Wait until it is ready, with other processes in place of those that were killed."""
        until(self._is_well, lambda: (self._killed, self.state()))
        self._killed.clear()

    def _is_replaced(self, model: str) -> bool:
        triton = int(self.state()["server"])  # 0 where that ended and another is not started yet
        stubs = supervisor.stubs(triton) if triton else {}
        before = self._killed[model]
        now = [pid for pid, served in stubs.items() if served == model]
        return len(now) == len(before) and not {*now} & {*before}

    def _is_well(self) -> bool:
        if not processes.is_alive(self.pid):
            pytest.fail("`make serve` has ended")
        are_replaced = all(map(self._is_replaced, self._killed))
        return are_replaced and is_ready(self.http_url) and self.state()["phase"] == "ready"

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
def installed_triton() -> None:
    """Skips where there is no Triton. Whatever uses it starts one, and is marked `server`."""
    if not (paths.RUNTIME / "manifest.json").is_file():
        pytest.skip("no Triton here: `make setup`")


@pytest.fixture(scope="session")
def server(
    installed_triton: None, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Server]:
    """`make serve` on free ports.

    With `ONECARD_TEST_SERVER=pid:http:grpc:metrics` a `make serve` that runs already is used.
    """
    running = os.environ.get("ONECARD_TEST_SERVER")
    with contextlib.ExitStack() as stack:
        if running:
            pid, *ports = running.split(":")
            http, grpc, metrics = (f"127.0.0.1:{port}" for port in ports)
            one = Server(grpc, http, metrics, int(pid))
        else:
            one = stack.enter_context(serving(tmp_path_factory.mktemp("server")))
        pytestconfig.stash[SERVER] = one
        yield one


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Nobody is handed a server that has not recovered from what the test before did to it."""
    one = item.config.stash.get(SERVER, None)
    if one is not None and "server" in getattr(item, "fixturenames", ()):
        if item.config.stash.get(LOST, False):
            pytest.fail("the server did not recover from what an earlier test did to it")
        item.config.stash[LOST] = True
        one.until_well()
        item.config.stash[LOST] = False


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
    try:
        until(lambda: is_ready(url) or process.poll() is not None, log.read_text)
        assert process.poll() is None, f"the server ended:\n{log.read_text()[-5000:]}"
        yield Server(f"127.0.0.1:{grpc}", url, f"127.0.0.1:{metrics}", process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 0, log.read_text()[-5000:]
    finally:
        process.kill()


@pytest.fixture(scope="session")
def conversation() -> Path:
    """30 s of telephone talk, two speakers, English; its reference turns lie beside it (.rttm)."""
    return SAMPLES / "conversation" / "sample.wav"


@pytest.fixture(scope="session")
def few_words() -> bytes:
    """3 s of speech as WAV, whose words are `FEW_WORDS`: for what is asked many times."""
    return recordings.wav(recordings.jfk().samples[: 3 * recordings.RATE])

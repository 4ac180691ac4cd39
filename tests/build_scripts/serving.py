"""A `serve` of tiny models, as a process of its own that a test can ask, signal and kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from build_scripts import paths, processes
from build_scripts.server import settings
from build_scripts.server.temporary import free_ports
from tests.waiting import PATIENCE_S, until

TIMEOUT_S = PATIENCE_S
eventually = until

# How a make that runs the tests hands its own variables to the makes below it.
HANDED_DOWN = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "NAMES"}
# Of a test that starts a Triton in its own body; what a fixture starts says so by itself.
needs_triton = pytest.mark.usefixtures("installed_triton")

ECHO = """
import time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        replies = []
        for request in requests:
            x = pb.get_input_tensor_by_name(request, "X").as_numpy()
            replies.append(pb.InferenceResponse([pb.Tensor("Y", x)]))
        return replies
"""
SLOW_START = """
import os, time

class TritonPythonModel:
    def initialize(self, args):
        while not os.path.exists(GATE):
            time.sleep(0.02)
"""
# Of `chat`: answers when a file appears, and then refuses.
REFUSE = """
import os, time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            open(GATE + ".reached", "w").close()
            while not os.path.exists(GATE):
                time.sleep(0.02)
            error = pb.TritonError("nothing to say", pb.TritonError.INVALID_ARG)
            sender = request.get_response_sender()
            answer = pb.InferenceResponse(error=error)
            sender.send(answer, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
CHAT = """
name: "chat"
backend: "python"
max_batch_size: 1
input { name: "MESSAGES" data_type: TYPE_STRING dims: 1 }
input { name: "OPTIONS" data_type: TYPE_STRING dims: 1 optional: true }
output { name: "EVENT" data_type: TYPE_STRING dims: 1 }
instance_group { kind: KIND_CPU count: 1 }
model_transaction_policy { decoupled: true }
"""
CONFIG = """
name: "{name}"
backend: "python"
max_batch_size: 0
input {{ name: "X" data_type: TYPE_FP32 dims: -1 }}
output {{ name: "Y" data_type: TYPE_FP32 dims: -1 }}
instance_group {{ kind: KIND_CPU count: 1 }}
parameters {{ key: "calls" value {{ string_value: "{calls}" }} }}
"""


def add_chat(repository: Path, gate: Path) -> Path:
    """A stand-in for `chat` that waits for `gate`; the file that tells that somebody asked it."""
    add_model(repository, "chat", REFUSE, gate)
    (repository / "chat" / "config.pbtxt").write_text(CHAT)
    return Path(f"{gate}.reached")


def add_model(repository: Path, name: str, code: str | None, gate: Path, calls: str = "") -> None:
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(CONFIG.format(name=name, calls=calls))
    if code is not None:
        (folder / "model.py").write_text(f"GATE = {str(gate)!r}\n{code}")


class Serving:
    """`build_scripts serve` of a repository on free ports, as a process of its own."""

    def __init__(self, repository: Path, **environment: str) -> None:
        numbers = free_ports(len(settings.DEFAULT_PORTS))
        self.ports = dict(zip(settings.DEFAULT_PORTS, numbers, strict=True))
        self.environment = {
            **{name: text for name, text in os.environ.items() if name not in HANDED_DOWN},
            **{name: str(port) for name, port in self.ports.items()},
            "REPOSITORY": str(repository),
            **environment,
        }
        self.url = f"http://127.0.0.1:{numbers[0]}"
        self.prefix = settings.shm_prefix(numbers[0])
        self.output = repository.parent / f"output-{numbers[0]}"
        self.process: subprocess.Popen[bytes] | None = None

    def verb(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run any verb against this server and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "build_scripts", *arguments],
            cwd=paths.ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(self, until: str = "ready after") -> None:
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "build_scripts", "serve"],
                cwd=paths.ROOT,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        process = self.process
        eventually(lambda: until in self.said() or process.poll() is not None, self.said)
        assert until in self.said(), self.said()

    def said(self) -> str:
        return self.output.read_text()

    def end(self) -> int:
        """The exit status, once the process has ended by itself."""
        assert self.process is not None
        return self.process.wait(TIMEOUT_S)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def triton(self) -> int:
        return int(re.findall(r"starting Triton \(pid (\d+)\)", self.said())[-1])

    def regions(self) -> list[Path]:
        return list(Path("/dev/shm").glob(self.prefix + "*"))

    def left(self) -> list[object]:
        """Everything that should be gone when the server is."""
        return [*processes.mentioning(self.prefix), *self.regions()]

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/v2/health/ready", timeout=TIMEOUT_S) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def infer(self, model: str) -> list[float]:
        tensor = {"name": "X", "datatype": "FP32", "shape": [2], "data": [1.0, 2.5]}
        body = json.dumps({"inputs": [tensor]}).encode()
        url = f"{self.url}/v2/models/{model}/infer"
        with urllib.request.urlopen(url, body, timeout=TIMEOUT_S) as reply:
            found: list[float] = json.load(reply)["outputs"][0]["data"]
        return found

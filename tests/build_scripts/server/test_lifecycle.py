"""Starting, draining, stopping and cleaning up, with the real Triton and tiny models."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
from pathlib import Path

import pytest

from build_scripts import paths, processes
from build_scripts.server import temporary
from build_scripts.server.api import Api
from tests.build_scripts.serving import (
    SLOW_START,
    TIMEOUT_S,
    Serving,
    add_model,
    eventually,
    needs_triton,
)

pytestmark = needs_triton

# Holds a request until a file appears, then asks `echo`: a request that is in flight for as long
# as a test wants, with an inner request at its end.
ASK = """
import os, time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        replies = []
        for request in requests:
            open(GATE + ".reached", "w").close()
            while not os.path.exists(GATE):
                time.sleep(0.02)
            x = pb.get_input_tensor_by_name(request, "X")
            inner = pb.InferenceRequest(model_name="echo", requested_output_names=["Y"], inputs=[x])
            reply = inner.exec()
            if reply.has_error():
                replies.append(pb.InferenceResponse([], error=reply.error()))
            else:
                replies.append(pb.InferenceResponse(reply.output_tensors()))
        return replies
"""


def test_a_taken_port_is_named_with_its_holder(serving: Serving) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", serving.ports["GRPC_PORT"]))
        holder.listen()
        ran = serving.verb("serve")
    assert ran.returncode == 6
    assert f"`{serving.ports['GRPC_PORT']}`" in ran.stderr
    assert f"pid {os.getpid()} " in ran.stderr
    assert "GRPC_PORT=" in ran.stderr
    assert serving.left() == []


def test_ready_only_when_every_model_is(serving: Serving, repository: Path, gate: Path) -> None:
    add_model(repository, "slow", SLOW_START, gate)
    serving.start(until="loaded echo")
    assert not serving.is_ready()
    waited = serving.verb("wait", "--timeout", "0.5")
    assert waited.returncode == 7
    assert "not ready after" in waited.stderr
    gate.touch()
    assert serving.verb("wait").returncode == 0
    assert serving.is_ready()
    assert serving.terminate() == 0
    assert serving.left() == []


def test_detach_wait_status_stop(serving: Serving) -> None:
    serving.environment["DETACH"] = "1"
    assert serving.verb("status").returncode == 7
    assert serving.verb("serve").returncode == 0
    waited = serving.verb("wait")
    assert waited.returncode == 0, waited.stderr
    assert "ready after" in waited.stdout
    assert serving.infer("echo") == [1.0, 2.5]
    again = serving.verb("serve")
    assert again.returncode == 7
    assert "running already" in again.stderr
    assert serving.verb("status").returncode == 0
    assert serving.verb("stop").returncode == 0
    assert serving.left() == []
    assert "no server runs" in serving.verb("stop").stdout


def test_the_readme_s_start_and_stop(serving: Serving) -> None:
    """As they stand, with tiny models."""
    lines = ("make serve DETACH=1", "make wait", "make stop")
    readme = (paths.ROOT / "README.md").read_text()
    assert all(f"\n{line}\n" in readme for line in lines)
    ran = subprocess.run(
        ["bash", "-euc", "\n".join(lines)], cwd=paths.ROOT, env=serving.environment,
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "ready after" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "stopped"
    assert serving.left() == []


def test_the_server_at_hand_is_the_one_that_runs_else_one_of_its_own(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in serving.environment.items():
        monkeypatch.setenv(name, text)
    with temporary.at_hand() as own:
        assert own.http_port != serving.ports["HTTP_PORT"]
        assert Api(own.url).is_ready()
    assert not Api(own.url).is_ready()
    serving.start("starting Triton")
    with temporary.at_hand() as found:
        assert found.url == serving.url
        assert found.plan == "cpu"
        assert serving.is_ready()
    assert serving.is_ready()
    assert serving.terminate() == 0


def test_sigterm_lets_inner_requests_of_a_request_in_flight_through(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_model(repository, "ask", ASK, gate, calls="echo")
    serving.start()
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(serving.infer("ask")))
    asking.start()
    eventually(lambda: Path(f"{gate}.reached").exists())
    assert serving.process is not None
    serving.process.send_signal(signal.SIGTERM)
    eventually(lambda: "draining" in serving.said() and not serving.is_ready())
    with pytest.raises(urllib.error.HTTPError) as refused:
        serving.infer("ask")
    refused.value.close()
    assert serving.process.poll() is None
    gate.touch()
    asking.join(TIMEOUT_S)
    assert answers == [[1.0, 2.5]]
    assert serving.end() == 0
    assert serving.left() == []


def test_a_second_signal_ends_it_at_once(serving: Serving, repository: Path, gate: Path) -> None:
    add_model(repository, "ask", ASK, gate, calls="echo")
    serving.start()

    def ask() -> None:
        with contextlib.suppress(OSError):
            serving.infer("ask")

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: Path(f"{gate}.reached").exists())
    assert serving.process is not None
    serving.process.send_signal(signal.SIGINT)
    eventually(lambda: "draining" in serving.said())
    serving.process.send_signal(signal.SIGINT)
    assert serving.end() == 0
    asking.join(TIMEOUT_S)
    assert serving.left() == []


def test_the_next_start_cleans_up_after_kill_9_of_everything(serving: Serving) -> None:
    serving.start()
    assert serving.process is not None
    serving.process.kill()
    for pid in processes.mentioning(serving.prefix):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    serving.end()
    assert serving.regions()
    serving.start(until="ready after")
    assert "cleaned up after" in serving.said()
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.terminate() == 0
    assert serving.left() == []


def test_triton_ends_when_serve_is_killed(serving: Serving) -> None:
    serving.start()
    assert serving.process is not None
    serving.process.kill()
    eventually(lambda: processes.mentioning(serving.prefix) == [])


def test_two_servers_side_by_side(serving: Serving, repository: Path) -> None:
    serving.start()
    other = Serving(repository)
    other.start()
    assert serving.regions()
    assert other.regions()
    assert serving.infer("echo") == other.infer("echo")
    assert other.terminate() == 0
    assert other.left() == []
    assert serving.regions()
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.terminate() == 0


def test_a_model_that_fails_to_load_is_named_with_its_reason(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_model(repository, "broken", "raise RuntimeError('no weights here')", gate)
    ran = serving.verb("serve")
    assert ran.returncode == 7
    assert "failed to load 'broken'" in ran.stderr
    assert "no weights here" in ran.stderr
    assert serving.left() == []


def test_a_model_whose_process_dies_at_once_does_not_hang_the_start(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_model(repository, "absent", None, gate)
    ran = serving.verb("serve")
    assert ran.returncode == 7
    assert "absent/1/model.py" in ran.stderr
    assert serving.left() == []


@pytest.fixture(scope="module")
def numpy_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real NumPy 2."""
    folder = tmp_path_factory.mktemp("numpy-2")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, str(folder), "numpy==2.2.6"], check=True, timeout=TIMEOUT_S)
    return folder


def test_numpy_2_is_refused_before_the_start(
    serving: Serving, numpy_2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.environment["PYTHONPATH"] = str(numpy_2)
    ran = serving.verb("serve")
    assert ran.returncode == 7
    assert "NumPy `2.2.6`" in ran.stderr
    assert str(numpy_2) in ran.stderr
    assert serving.left() == []


def test_the_models_own_self_test_refuses_numpy_2(
    serving: Serving, repository: Path, gate: Path, numpy_2: Path
) -> None:
    """What the check before the start cannot see: a model's own path."""
    code = (
        f"import sys; sys.path.insert(0, {str(numpy_2)!r})\n"
        "from onecard.python_backend import backend\n"
        "class TritonPythonModel:\n"
        "    def initialize(self, args):\n"
        "        backend.self_test()\n"
    )
    add_model(repository, "guarded", code, gate)
    ran = serving.verb("serve")
    assert ran.returncode == 7
    assert "NumPy is `2.2.6`" in ran.stderr

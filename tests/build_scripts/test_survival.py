"""What Triton does wrong by itself: it ends while serving, and never ends a cancelled request."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
import threading
import urllib.request
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from build_scripts import paths, processes
from build_scripts.errors import ServerError
from build_scripts.server import lifecycle, settings
from build_scripts.server.models import drain
from build_scripts.server.triton import crashes
from tests.build_scripts.serving import (
    SLOW_START,
    TIMEOUT_S,
    Serving,
    add_model,
    eventually,
    needs_triton,
)

pytestmark = needs_triton

# Longer than a drain and the end of Triton together wait for a request on which nothing works.
LONG_S = drain.QUIET_S + lifecycle.IDLE_CONNECTIONS_S + 2
# A step that works for `SECONDS`, with a share of a core far above `drain.IDLE_SHARE`, and, as
# onecard's models do, answers an error when its caller has gone.
WORK = """
import time
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        return [self.respond(request) for request in requests]

    def respond(self, request):
        open(GATE + ".reached", "w").close()
        end_s = time.monotonic() + SECONDS
        while time.monotonic() < end_s and not request.is_cancelled():
            sum(range(100_000))
            time.sleep(0.01)
        if request.is_cancelled():
            error = pb.TritonError("cancelled", pb.TritonError.CANCELLED)
            return pb.InferenceResponse([], error=error)
        x = pb.get_input_tensor_by_name(request, "X").as_numpy()
        return pb.InferenceResponse([pb.Tensor("Y", x)])
"""
FORK = """
name: "fork"
platform: "ensemble"
max_batch_size: 0
input { name: "X" data_type: TYPE_FP32 dims: -1 }
output { name: "Y" data_type: TYPE_FP32 dims: -1 }
output { name: "Z" data_type: TYPE_FP32 dims: -1 }
ensemble_scheduling { step [
 { model_name: "first" model_version: -1
   input_map { key: "X" value: "X" } output_map { key: "Y" value: "A" } },
 { model_name: "left" model_version: -1
   input_map { key: "X" value: "A" } output_map { key: "Y" value: "Y" } },
 { model_name: "right" model_version: -1
   input_map { key: "X" value: "A" } output_map { key: "Y" value: "Z" } } ] }
"""
LENGTH = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        replies = []
        for request in requests:
            x = pb.get_input_tensor_by_name(request, "X").as_numpy()
            y = np.array([len(x[0])], np.int64)
            replies.append(pb.InferenceResponse([pb.Tensor("Y", y)]))
        return replies
"""


# More than any connection holds between two programs of which one does not read.
MANY = """
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for _ in range(40):
                y = pb.Tensor("Y", np.zeros(1_000_000, np.float32))
                sender.send(pb.InferenceResponse([y]))
            sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""


def add_fork(repository: Path, gate: Path, seconds: float) -> None:
    """`fork`: `first` for `seconds`, then `left` and `right` side by side."""
    for model, own_s in (("first", seconds), ("left", 0.1), ("right", 0.1)):
        add_model(repository, model, f"SECONDS = {own_s}\n{WORK}", gate)
    (repository / "fork" / "1").mkdir(parents=True)
    (repository / "fork" / "config.pbtxt").write_text(FORK)


def kill_and_wait(serving: Serving, number: signal.Signals, times_ready: int) -> None:
    os.kill(serving.triton(), number)
    eventually(lambda: serving.said().count("ready after") == times_ready)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_triton_that_ends_while_serving_is_started_again(
    serving: Serving, number: signal.Signals
) -> None:
    serving.start()
    first, door = serving.triton(), door_of(serving)
    kill_and_wait(serving, number, times_ready=2)
    assert serving.triton() != first
    assert door_of(serving) == door  # callers keep their connections
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.verb("wait").returncode == 0
    assert f"(Triton pid {serving.triton()})" in serving.verb("status").stdout
    said = serving.said()
    assert f"ended with signal {number.value} ({number.name}) while it was serving" in said
    kept = re.findall(r"its log is kept in (\S+)", said)
    assert f" {first} " in (paths.ROOT / kept[0]).read_text()
    assert serving.terminate() == 0
    assert serving.left() == []


def test_triton_that_aborts_while_models_load_is_started_once_more(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_model(repository, "slow", SLOW_START, gate)
    serving.start(until="loaded echo")
    os.kill(serving.triton(), signal.SIGABRT)
    eventually(lambda: serving.said().count("loaded echo") == 2)
    assert "ended with signal 6 (SIGABRT) before it was ready; starting it again" in serving.said()
    os.kill(serving.triton(), signal.SIGABRT)
    assert serving.end() == 7
    assert serving.said().count("starting Triton") == 2
    assert serving.left() == []


def test_triton_that_keeps_ending_is_started_again_after_a_pause(serving: Serving) -> None:
    """However often: giving up for good would be everybody's to bring about."""
    serving.start()
    for times_ready in range(2, 5):
        kill_and_wait(serving, signal.SIGKILL, times_ready)
    said = serving.said()
    assert "; starting it again;" in said  # the first time, at once
    assert said.count("; starting it again in ") == 2
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.terminate() == 0
    assert serving.left() == []


@pytest.mark.parametrize("error", [OSError(11, "no more processes"), ServerError("no VRAM")])
def test_what_cannot_be_started_again_now_is_tried_later(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    said: list[str] = []
    parser = ArgumentParser()
    settings.add_arguments(parser)
    one = lifecycle.Server(settings.from_arguments(parser.parse_args([]), {}), said.append)
    monkeypatch.setattr(one, "_start", fail)
    with pytest.raises(type(error)):  # at first, whoever started it is told
        one._started(None, None)  # type: ignore[arg-type]
    one._configs = {"echo": {}}  # it was ready once
    for _ in range(2):
        assert one._started(None, None) is None  # type: ignore[arg-type]
    assert f"Triton could not be started ({error}); trying again in 2 s" == said[-1]


def test_the_pause_grows_is_bounded_and_ends_with_a_minute_of_service() -> None:
    ended, pauses = crashes.Crashes(), []
    for _ in range(5000):
        ended.add(served_s=1.0)
        pauses.append(ended.pause_s)
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == crashes.MAX_PAUSE_S
    ended.add(served_s=crashes.STEADY_S + 1)
    assert ended.pause_s == 0.0


def test_a_signal_ends_the_pause(serving: Serving) -> None:
    serving.start()
    kill_and_wait(serving, signal.SIGKILL, times_ready=2)
    os.kill(serving.triton(), signal.SIGKILL)
    eventually(lambda: "; starting it again in " in serving.said())
    assert serving.terminate() == 0
    assert serving.said().count("starting Triton") == 2
    assert serving.left() == []


def door_of(serving: Serving) -> int:
    (pid,) = [
        pid
        for pid, arguments in processes.command_lines()
        if arguments[-2:] == ["build_scripts.server.door.process", str(serving.ports["HTTP_PORT"])]
    ]
    return pid


def test_a_process_at_the_ports_that_ends_is_started_again(serving: Serving) -> None:
    serving.start()
    first = door_of(serving)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: "the process at the ports ended with signal 9" in serving.said())
    eventually(serving.is_ready)
    assert door_of(serving) != first
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.said().count("starting Triton") == 1
    assert serving.terminate() == 0
    assert serving.left() == []


def cancel(serving: Serving, timeout_s: float) -> None:
    x = triton.InferInput("X", [2], "FP32")
    x.set_data_from_numpy(np.zeros(2, np.float32))
    url = f"127.0.0.1:{serving.ports['GRPC_PORT']}"
    options = [("grpc.enable_http_proxy", 0)]
    with (
        triton.InferenceServerClient(url, channel_args=options) as client,
        contextlib.suppress(triton.InferenceServerException),
    ):
        client.infer("fork", [x], client_timeout=timeout_s)


def test_cancelled_requests_that_triton_never_ends_do_not_hold_up_the_drain(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_fork(repository, gate, seconds=0.1)
    serving.start()
    for _ in range(2):
        callers = [
            threading.Thread(target=cancel, args=(serving, timeout_s))
            for timeout_s in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert serving.terminate() == 0  # in a fifth of the time that a request in flight is given
    assert "gave up on requests" not in serving.said()
    assert serving.left() == []


def test_an_answer_that_nobody_reads_does_not_hold_up_the_drain(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_model(repository, "many", MANY, gate)
    config = repository / "many" / "config.pbtxt"
    config.write_text(config.read_text() + "model_transaction_policy { decoupled: true }\n")
    serving.start()
    is_over, has_come = threading.Event(), threading.Event()

    def read_one(result: object, error: object) -> None:
        has_come.set()
        is_over.wait(TIMEOUT_S)

    x = triton.InferInput("X", [2], "FP32")
    x.set_data_from_numpy(np.zeros(2, np.float32))
    url = f"127.0.0.1:{serving.ports['GRPC_PORT']}"
    options = [("grpc.enable_http_proxy", 0)]
    with triton.InferenceServerClient(url, channel_args=options) as client:
        client.start_stream(read_one)
        client.async_stream_infer("many", [x])
        assert has_come.wait(TIMEOUT_S)
        try:
            assert serving.terminate() == 0  # in less than half the time of a drain
        finally:
            is_over.set()
            client.stop_stream(cancel_requests=True)
    assert "`many`" in serving.said()
    assert serving.left() == []


def test_a_step_that_works_is_waited_for(serving: Serving, repository: Path, gate: Path) -> None:
    add_fork(repository, gate, seconds=LONG_S)
    serving.start()
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(serving.infer("fork")))
    asking.start()
    eventually(lambda: Path(f"{gate}.reached").exists())
    assert serving.terminate() == 0
    asking.join(TIMEOUT_S)
    assert answers == [[1.0, 2.5]]
    assert serving.left() == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/octet-stream"])
def test_a_body_of_64_mib_is_answered(
    serving: Serving, repository: Path, gate: Path, kind: str
) -> None:
    """Whatever its type: curl and urllib call every body a form."""
    num_bytes = 64 * 2**20
    add_model(repository, "length", LENGTH, gate)
    config = repository / "length" / "config.pbtxt"
    wire = config.read_text().replace("FP32", "STRING", 1).replace("FP32", "INT64", 1)
    config.write_text(wire)
    serving.start()
    tensor = {
        "name": "X",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": num_bytes + 4},
    }
    header = json.dumps({"inputs": [tensor]}).encode()
    request = urllib.request.Request(
        f"{serving.url}/v2/models/length/infer",
        header + struct.pack("<I", num_bytes) + bytes(num_bytes),
        {"Inference-Header-Content-Length": str(len(header)), "Content-Type": kind},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
        assert json.load(reply)["outputs"][0]["data"] == [num_bytes]
    assert "starting it again" not in serving.said()

"""What a caller of the real server cannot reach, read or make it tell.

How Triton 2.51 gives one caller's request to another: an error names the Python backend's shared
memory, anybody registers it, and a tensor that lies there comes back (CVE-2025-23319, -23320,
-23334). Each link is broken, so that one is enough.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from build_scripts import paths
from build_scripts.server import settings
from build_scripts.server.door import rules
from build_scripts.server.door.order import FILE, Order
from onecard.contract import pipeline
from tests.waiting import PATIENCE_S, until

SHM = Path("/dev/shm")


@pytest.fixture(scope="module")
def run(server: Any) -> Path:
    return paths.RUN / server.http_url.rpartition(":")[2]


@pytest.fixture(scope="module")
def order(run: Path) -> Order:
    return Order.read((run / FILE).read_text())


@pytest.fixture(scope="module")
def regions(run: Path) -> list[Path]:
    found = list(SHM.glob(settings.shm_prefix(run.name) + "*"))
    assert found
    return found


def asked(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(f"http://{url}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def code(call: Callable[[], Any]) -> grpc.StatusCode | None:
    try:
        call()
    except grpc.RpcError as error:
        found: grpc.StatusCode = error.code()
        return found
    return None


def inputs(**given: Any) -> list[triton.InferInput]:
    found = []
    for name, value in given.items():
        array = np.array([[value]], object) if isinstance(value, bytes) else value[np.newaxis]
        found.append(triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        found[-1].set_data_from_numpy(array)
    return found


def test_no_region_can_be_registered(server: Any, regions: list[Path]) -> None:
    key, size = "/" + regions[0].name, regions[0].stat().st_size
    body = json.dumps({"key": key, "offset": 0, "byte_size": size}).encode()
    path = "/v2/systemsharedmemory/region/mine"
    assert asked(f"{server.http_url}{path}/register", "POST", body) == 403
    with triton.InferenceServerClient(server.grpc_url) as client:
        with pytest.raises(InferenceServerException, match="not open to callers"):
            client.register_system_shared_memory("mine", key, size)
        with pytest.raises(InferenceServerException, match="not open to callers"):
            client.get_system_shared_memory_status()


@pytest.mark.parametrize("method", ["LogSettings", "TraceSetting", "RepositoryIndex"])
def test_neither_the_log_nor_the_models_can_be_turned(server: Any, method: str) -> None:
    request = getattr(service_pb2, f"{method}Request")()
    with grpc.insecure_channel(server.grpc_url) as channel:
        call = getattr(service_pb2_grpc.GRPCInferenceServiceStub(channel), method)
        assert code(lambda: call(request)) is grpc.StatusCode.PERMISSION_DENIED
    for path in ("/v2/logging", "/v2/trace/setting", "/v2/repository/index"):
        assert asked(server.http_url + path, "POST", b"{}") == 403


def test_triton_itself_answers_nobody_without_the_secret(order: Order) -> None:
    """Its ports are open to whoever is on this machine."""
    http = f"127.0.0.1:{order.inner_http_port}"
    for path in ("/v2", "/v2/health/ready", "/v2/models/chat", "/v2/models/stats", "/v2/logging",
                 "/v2/models/chat/config", "/v2/systemsharedmemory/status"):  # fmt: skip
        assert asked(http + path) == 403, path
        assert asked(http + path, **{pipeline.OWNER_HEADER: order.secret}) == 200, path
    assert asked(http + "/v2/models/chat/generate_stream", "POST", b"{}") == 403
    empty = service_pb2.ModelInferRequest(model_name="llm")
    with grpc.insecure_channel(f"127.0.0.1:{order.inner_grpc_port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for call in (
            lambda: stub.ModelInfer(empty),
            lambda: next(stub.ModelStreamInfer(iter([empty]))),
            lambda: stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest()),
        ):
            assert code(call) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)


@pytest.mark.parametrize("model", sorted(rules.INNER))
def test_steps_and_engines_are_not_a_caller_s(server: Any, model: str) -> None:
    request = service_pb2.ModelInferRequest(model_name=model)
    for tensor in ("AUDIO_FILE", "SCORES_FILE"):
        request.inputs.add(name=tensor, datatype="BYTES", shape=[1, 1])
        request.raw_input_contents.append(b"\x0b\0\0\0/etc/passwd")
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert code(lambda: stub.ModelInfer(request)) is grpc.StatusCode.PERMISSION_DENIED
        stream = stub.ModelStreamInfer(iter([request]), timeout=PATIENCE_S)
        assert code(lambda: next(stream)) is grpc.StatusCode.PERMISSION_DENIED
    assert asked(f"{server.http_url}/v2/models/{model}/infer", "POST", b"{}") == 403


def test_a_page_of_a_browser_is_no_caller(server: Any) -> None:
    url = f"{server.http_url}/v2/models/chat/generate_stream"
    assert asked(url, "POST", b"{}", Origin="http://evil.example") == 403
    assert asked(url, "POST", b"{}", Host="evil.example") == 403
    assert asked(f"{server.metrics_url}/metrics", Host="evil.example") == 403
    assert asked(f"{server.metrics_url}/metrics") == 200


@pytest.mark.parametrize(
    ("model", "name", "shape"),
    [("diarize", "EMBEDDINGS", (1, 3, 256)), ("detect_speech", "SCORES", (1, 293, 3))],
)
def test_what_came_is_not_sent_back(
    server: Any, model: str, name: str, shape: tuple[int, ...]
) -> None:
    given = inputs(OPTIONS=b"{}", NUM_SAMPLES=np.array([80_000]), **{
        "SCORES": np.zeros((1, 293, 3), np.float32), name: np.full(shape, 7, np.float32)
    })  # fmt: skip
    with server.client() as client:
        answer = client.infer(model, given)
    assert answer.as_numpy(name) is None
    assert len(answer.get_response().outputs) == 1


def test_the_secret_is_not_in_a_command_line(server: Any, order: Order) -> None:
    """Which every user of the machine can read."""
    path = Path(f"/proc/{server.triton_pid()}/cmdline")
    until(lambda: order.secret.encode() not in path.read_bytes())
    assert f"{pipeline.OWNER_HEADER}=xxx".encode() in path.read_bytes()


def test_nobody_else_can_read_what_it_keeps(run: Path, regions: list[Path]) -> None:
    is_open = lambda path: path.exists() and path.stat().st_mode & 0o077  # noqa: E731
    until(lambda: not any(map(is_open, regions)))
    log = paths.LOG / f"server-{run.name}.log"
    for path in (run / FILE, run / "server.json", log):
        assert path.stat().st_mode & 0o077 == 0, path

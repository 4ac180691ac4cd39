"""What the process at the ports lets through, changes and refuses."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from build_scripts import paths
from onecard.contract import pipeline
from tests.build_scripts.server.door.doors import REGION, SECRET, Doors, opened
from tests.waiting import PATIENCE_S

DENIED = grpc.StatusCode.PERMISSION_DENIED


def infer(model: str, request_id: str = "") -> Any:
    return service_pb2.ModelInferRequest(model_name=model, id=request_id)


def code(call: Callable[[], Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    found: grpc.StatusCode = raised.value.code()
    return found


def test_a_form_reaches_triton_as_json_with_its_length_and_the_secret(doors: Doors) -> None:
    kind = "application/x-www-form-urlencoded"
    status, _ = doors.ask("POST", "/v2/models/chat/infer?x=1", b'{"a": 1}', Content_Type=kind)
    assert status == 200
    ((path, headers, body),) = doors.behind.seen
    assert (path, body) == ("/v2/models/chat/infer", b'{"a": 1}')
    assert headers["Content-Type"] == "application/json"
    assert (headers["Content-Length"], headers[pipeline.OWNER_HEADER]) == ("8", SECRET)


def test_a_body_in_binary_keeps_its_header(doors: Doors) -> None:
    body = b"{}" + bytes(3_000_000)
    headers = {"Inference_Header_Content_Length": "2"}
    assert doors.ask("POST", "/v2/models/transcribe/infer", body, **headers)[0] == 200
    ((_, seen, found),) = doors.behind.seen
    assert found == body
    assert seen["Inference-Header-Content-Length"] == "2"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Transfer-Encoding: chunked", 411),
        ("Content-Length: 67108865", 413),
        ("Content-Length: 560000000\r\nContent-Type: application/x-www-form-urlencoded", 413),
        ("Content-Length: 2001000001\r\nInference-Header-Content-Length: 2", 413),
        ("Content-Length: 9\r\nInference-Header-Content-Length: 10", 400),
        ("Content-Length: 9\r\nInference-Header-Content-Length: -1", 400),
        ("Content-Length: 9\r\nContent-Encoding: gzip", 415),
        ("Content-Length: 9\r\nOrigin: http://evil.example", 403),
        ("Content-Length: 9\r\nSec-Fetch-Site: cross-site", 403),
        ("Content-Length: 9\r\nHost: evil.example", 400),
        ("Content-Length: -9", 400),
        ("Content-Length: 9\r\nContent-Length: 8", 400),
        ("Content-Length: 9\r\nTransfer-Encoding: chunked", 400),
    ],
)
def test_a_body_that_would_cost_triton_its_memory_is_refused_unread(
    doors: Doors, headers: str, status: int
) -> None:
    text = f"POST /v2/models/chat/infer HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n"
    answer = doors.sent(text.encode())
    assert answer.split(b" ", 2)[1] == str(status).encode()
    assert doors.behind.seen == []


@pytest.mark.parametrize("key", ["MESSAGES", "parameters"])
def test_json_that_would_overflow_triton_s_stack_is_refused(doors: Doors, key: str) -> None:
    half = 2_500_000
    body = f'{{"{key}": '.encode() + b"[" * half + b"]" * half + b"}"
    status, text = doors.ask("POST", "/v2/models/chat/generate", body)
    assert status == 400
    assert "nested more than 100 deep" in json.loads(text)["error"]
    shallow = json.dumps({key: "[" * half, "data": [[1, 2]] * 1000}).encode()
    assert doors.ask("POST", "/v2/models/chat/generate", shallow)[0] == 200


def test_chunks_of_one_byte_get_an_answer_before_they_are_all_sent(doors: Doors) -> None:
    head = b"POST /v2/models/chat/infer HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    assert b" 411 " in doors.sent(head + b"1\r\nA\r\n" * 10_000)
    assert doors.ask("GET", "/v2")[0] == 200


def test_events_come_one_by_one_and_without_names_of_regions(doors: Doors) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", doors.order.http_port, timeout=PATIENCE_S)
    connection.request("POST", "/v2/models/chat/generate_stream", b"{}")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    assert answer.readline() == b'data: {"EVENT": "1"}\n'  # the next one is not made yet
    doors.behind.goes_on.set()
    rest = answer.read()
    connection.close()
    assert b"no room in (shared memory)" in rest
    assert REGION.encode() not in rest


def test_errors_come_without_names_of_regions(doors: Doors) -> None:
    status, body = doors.ask("POST", "/v2/models/broken/infer", b"{}")
    assert (status, json.loads(body)) == (500, {"error": "no room for key '(shared memory)'"})
    stub = doors.stub()
    with pytest.raises(grpc.RpcError) as raised:
        stub.ModelInfer(infer("chat", "broken"))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == "no room for key '(shared memory)'"
    first = next(iter(stub.ModelStreamInfer(iter([infer("chat", "broken")]))))
    assert first.error_message == "no room in (shared memory)"


def test_the_owner_reaches_everything(doors: Doors) -> None:
    owner = {pipeline.OWNER_HEADER: SECRET}
    for path in ("/v2/repository/index", "/v2/models/llm/infer", "/v2/systemsharedmemory/status"):
        assert doors.ask("POST", path, b"{}")[0] == 403
        assert doors.ask("POST", path, b"{}", **owner)[0] == 200
        assert doors.ask("POST", path, b"{}", **{pipeline.OWNER_HEADER: SECRET[:-1]})[0] == 403
    stub = doors.stub()
    assert code(lambda: stub.ModelInfer(infer("llm"))) is grpc.StatusCode.PERMISSION_DENIED
    assert stub.ModelInfer(infer("llm"), metadata=tuple(owner.items())).model_name == "llm"
    assert doors.service.seen == [("ModelInfer", "llm")]


def test_triton_s_own_name_for_the_header_opens_nothing(doors: Doors) -> None:
    name = f"triton-grpc-protocol-{pipeline.OWNER_HEADER}"
    stub = doors.stub()
    call = lambda: stub.ModelInfer(infer("llm"), metadata=((name, SECRET),))  # noqa: E731
    assert code(call) is grpc.StatusCode.PERMISSION_DENIED


def test_only_the_secret_goes_on_of_a_caller_s_metadata(doors: Doors) -> None:
    """Triton 2.51 can crash over `triton_grpc_error`."""
    doors.stub().ModelInfer(infer("chat"), metadata=(("triton_grpc_error", "true"),))
    assert "triton_grpc_error" not in doors.service.metadata[0]
    assert doors.service.metadata[0][f"triton-grpc-protocol-{pipeline.OWNER_HEADER}"] == SECRET


def test_methods_of_the_owner_are_refused_over_grpc(doors: Doors) -> None:
    stub = doors.stub()
    request = service_pb2.SystemSharedMemoryStatusRequest()
    denied = code(lambda: stub.SystemSharedMemoryStatus(request))
    assert denied is grpc.StatusCode.PERMISSION_DENIED
    owner = ((pipeline.OWNER_HEADER, SECRET),)
    assert stub.SystemSharedMemoryStatus(request, metadata=owner) is not None


def test_each_request_of_a_stream_is_looked_at(doors: Doors) -> None:
    stub = doors.stub()
    had = threading.Event()

    def requests() -> Iterator[Any]:
        yield infer("chat", "1")
        had.wait(PATIENCE_S)
        yield infer("llm", "2")

    call = stub.ModelStreamInfer(requests(), timeout=PATIENCE_S)
    assert next(call).infer_response.id == "1"
    had.set()
    assert code(lambda: next(call)) is grpc.StatusCode.PERMISSION_DENIED
    assert doors.service.seen == [("ModelStreamInfer", "chat")]
    assert doors.service.cancelled.wait(PATIENCE_S)


def test_a_stream_that_triton_ends_is_ended_for_a_caller_who_says_no_more(doors: Doors) -> None:
    ended = threading.Event()

    def requests() -> Iterator[Any]:
        yield infer("chat", "1")
        yield infer("chat", "last")
        ended.wait(PATIENCE_S)

    call = doors.stub().ModelStreamInfer(requests(), timeout=PATIENCE_S)
    assert [response.infer_response.id for response in call] == ["1"]
    ended.set()


def test_who_hangs_up_is_seen_behind_the_door(doors: Doors) -> None:
    call = doors.stub().ModelStreamInfer(iter([infer("chat", "1")]))
    next(call)
    call.cancel()
    assert doors.service.cancelled.wait(PATIENCE_S)
    doors.service.cancelled.clear()
    unary = doors.stub().ModelInfer.future(infer("chat", "waits"))
    while not doors.service.metadata:
        time.sleep(0.01)
    unary.cancel()
    assert doors.service.cancelled.wait(PATIENCE_S)
    doors.service.goes_on.set()


def test_an_ensemble_s_unary_call_is_not_cancelled_behind_the_door(doors: Doors) -> None:
    """Triton 2.51 crashes where several are."""
    call = doors.stub().ModelInfer.future(infer(pipeline.ENSEMBLE, "waits"))
    while not doors.service.metadata:
        time.sleep(0.01)
    call.cancel()
    assert doors.ask("GET", "/v2/health/ready")[0] == 200  # the door has had time to hear of it
    assert doors.stub().ModelInfer(infer("chat")).model_name == "chat"
    assert not doors.service.cancelled.is_set()
    doors.service.goes_on.set()
    assert doors.service.finished.wait(PATIENCE_S)


@pytest.mark.parametrize("model", ["stranger", pipeline.ENSEMBLE])
def test_nor_is_one_over_http(doors: Doors, model: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", doors.order.http_port, timeout=PATIENCE_S)
    connection.request("POST", f"/v2/models/{model}/infer", b"waits")
    while not doors.behind.seen:
        time.sleep(0.01)
    connection.close()
    assert doors.ask("GET", "/v2/health/live")[0] == 200  # the door has had time to hear of it
    doors.behind.goes_on.set()
    while not doors.behind.left:
        time.sleep(0.01)
    assert doors.behind.left == [model != pipeline.ENSEMBLE]


def test_a_compressed_message_is_not_unpacked(doors: Doors) -> None:
    request = infer("chat")
    request.raw_input_contents.append(bytes(10_000_000))
    stub = doors.stub()
    call = lambda: stub.ModelInfer(request, compression=grpc.Compression.Gzip)  # noqa: E731
    assert code(call) in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL)
    assert doors.service.seen == []


def test_metrics_have_one_path(doors: Doors) -> None:
    port = doors.order.metrics_port
    assert doors.ask("GET", "/metrics", port=port)[0] == 200
    assert doors.ask("GET", "/v2/repository/index", port=port)[0] == 403
    assert doors.ask("GET", "/metrics", port=port, Host="evil.example")[0] == 403
    assert doors.ask("GET", "/metrics", port=port, Host="speech.example")[0] == 200
    assert [path for path, *_ in doors.behind.seen] == ["/metrics", "/metrics"]


@pytest.mark.parametrize(
    ("model", "state", "is_ready"),
    [
        ("whisper", ("READY", ""), True),
        ("whisper", ("LOADING", ""), False),
        ("whisper", ("UNAVAILABLE", "no such file"), False),
        ("whisper", ("UNAVAILABLE", "unloaded"), True),  # as who drains has it
        ("whisper_small", ("LOADING", ""), True),
        ("whisper_small", ("UNAVAILABLE", "no such file"), True),
    ],
)
def test_readiness_is_that_of_all_models_but_those_on_demand(
    doors: Doors, model: str, state: tuple[str, str], is_ready: bool
) -> None:
    doors.service.index = {"chat": ("READY", ""), "other": ("", ""), model: state}
    status, _ = doors.ask("GET", "/v2/health/ready")
    assert (status == 200) == is_ready
    assert doors.stub().ServerReady(service_pb2.ServerReadyRequest()).ready == is_ready


def test_a_server_that_is_away_is_unavailable() -> None:
    with opened() as doors:
        doors.begin()
        doors.behind.shutdown()
        doors.behind.server_close()
        status, body = doors.ask("POST", "/v2/models/chat/infer", b"{}")
        owner = ((pipeline.OWNER_HEADER, SECRET),)
        assert code(lambda: doors.stub().ModelInfer(infer("llm"))) is DENIED
        doors.stop_grpc()
        assert code(lambda: doors.stub().ModelInfer(infer("llm"))) is DENIED
        call = lambda: doors.stub().ModelInfer(infer("llm"), metadata=owner)  # noqa: E731
        assert code(call) is grpc.StatusCode.UNAVAILABLE
        doors.end()
    assert status == 503
    assert "try again later" in json.loads(body)["error"]


def test_a_port_that_is_taken_is_said(doors: Doors) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts.server.door.process"], cwd=paths.ROOT, text=True,
        input=doors.order.write() + "\n", capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert str(doors.order.grpc_port) in ran.stdout

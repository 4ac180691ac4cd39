"""gRPC statuses and connection failures against the exceptions that callers see."""

from __future__ import annotations

import pickle
import re
import socket
import threading
from typing import Any

import grpc
import pytest
from fake_server import FINISHED, PATIENCE_S, event, events, fails, says

import onecard_client
from onecard_client import (
    AccessDenied,
    BadResponse,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    OnecardError,
    ServerError,
    Unavailable,
    _errors,
)

EXPECTED = {
    "INVALID_ARGUMENT": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "RESOURCE_EXHAUSTED": InvalidRequest,
    "UNAUTHENTICATED": AccessDenied,
    "PERMISSION_DENIED": AccessDenied,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Cancelled,
    "UNKNOWN": ServerError,
    "INTERNAL": ServerError,
    "UNIMPLEMENTED": ServerError,
    "NOT_FOUND": ServerError,
    "ALREADY_EXISTS": ServerError,
    "FAILED_PRECONDITION": ServerError,
    "ABORTED": ServerError,
    "DATA_LOSS": ServerError,
}


def test_every_grpc_status_has_a_class() -> None:
    assert set(_errors.ERROR_OF_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize("name", EXPECTED)
def test_status_on_the_wire_becomes_its_class(name: str, fake: Any, connect: Any) -> None:
    server = fake(fails(grpc.StatusCode[name], "the reason"))
    with pytest.raises(OnecardError) as caught:
        connect(server.url, max_retries=0).transcribe(b"audio", request_id="r-1")
    assert type(caught.value) is EXPECTED[name]
    assert caught.value.status == name
    assert caught.value.request_id == "r-1"
    assert "the reason" in str(caught.value) or name == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Request for unknown model: 'x' is not found", ServerError),
        ("Request for unknown model: 'x' has no available versions", Unavailable),
        ("Request for unknown model: 'x' version 1 is not at ready state", Unavailable),
        ("Stub process 'x_0_0' is not healthy.", Unavailable),
        ("Stub process is not healthy.", Unavailable),
        ("Exceeds maximum queue size", Unavailable),
        (
            "Server is stopping, scheduler for model has stopped accepting new inference requests",
            Unavailable,
        ),
        ("Server not ready", Unavailable),
        ("Failed to increase the shared memory pool size for key 'x' to 8 bytes.", Unavailable),
        ("`diarize`: the embedding is not healthy food", ServerError),
    ],
)
@pytest.mark.parametrize("has_status", [True, False])
def test_text_on_the_wire_becomes_its_class(
    text: str, kind: type[OnecardError], has_status: bool, fake: Any, connect: Any
) -> None:
    step = fails(grpc.StatusCode.NOT_FOUND, text) if has_status else says(text)
    with pytest.raises(OnecardError) as caught:
        connect(fake(step).url, max_retries=0).transcribe(b"audio", request_id="r-1")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.request_id) == (
        "NOT_FOUND" if has_status else None,
        "r-1",
    )
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "status", "message"),
    [
        ("INVALID_ARG: AUDIO is empty", InvalidRequest, "INVALID_ARGUMENT", "AUDIO is empty"),
        ("UNAVAILABLE: try again: later", Unavailable, "UNAVAILABLE", "try again: later"),
        ("INTERNAL: no", ServerError, "INTERNAL", "no (request id `r-1`)"),
        ("INTERNAL: Stub process 'x' is not healthy.", Unavailable, "INTERNAL", None),
        ("UNAVAILABLE: connection reset", Unavailable, "UNAVAILABLE", "connection reset"),
        ("OTHER: no", ServerError, None, "OTHER: no (request id `r-1`)"),
        ("INVALID_ARG", ServerError, None, "INVALID_ARG (request id `r-1`)"),
    ],
)
def test_code_ahead_of_a_text_becomes_its_class(
    text: str, kind: Any, status: Any, message: Any, fake: Any, connect: Any
) -> None:
    with pytest.raises(OnecardError) as caught:
        connect(fake(says(text)).url, max_retries=0).transcribe(b"audio", request_id="r-1")
    assert (type(caught.value), caught.value.status) == (kind, status)
    assert message is None or str(caught.value) == message


def test_text_does_not_overrule_a_status_that_is_clear(fake: Any, connect: Any) -> None:
    server = fake(fails(grpc.StatusCode.INVALID_ARGUMENT, "`x` has no available versions"))
    with pytest.raises(InvalidRequest):
        connect(server.url).transcribe(b"audio")


def test_server_text_of_a_bad_request_is_kept_as_it_is(fake: Any, connect: Any) -> None:
    text = "option `beam` is unknown; did you mean `beam_size`?"
    server = fake(fails(grpc.StatusCode.INVALID_ARGUMENT, text))
    with pytest.raises(InvalidRequest) as caught:
        connect(server.url).transcribe(b"audio")
    assert str(caught.value) == text


def test_server_error_names_the_request(fake: Any, connect: Any) -> None:
    server = fake(fails(grpc.StatusCode.INTERNAL, "internal error"))
    with pytest.raises(ServerError, match=r"internal error .*`r-7`"):
        connect(server.url).transcribe(b"audio", request_id="r-7")


def test_docstring_tree_is_the_class_tree() -> None:
    _, _, drawn = (_errors.__doc__ or "").partition("\n\n")
    tree = re.findall(r"^([│├└─ ]*)(\w+)", drawn, re.MULTILINE)
    ancestors: list[str] = []
    for branch, name in tree:
        depth = len(branch) // 4
        ancestors[depth:] = [name]
        kind = getattr(_errors, name)
        assert kind.__bases__[0].__name__ == (ancestors[depth - 1] if depth else "Exception")
    errors = {
        name
        for name in onecard_client.__all__
        if isinstance(getattr(onecard_client, name), type)
        and issubclass(getattr(onecard_client, name), OnecardError)
    }
    assert {name for _, name in tree} == errors


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_refused_connection(connect: Any) -> None:
    url = f"127.0.0.1:{unused_port()}"
    with pytest.raises(ConnectionFailed, match=re.escape(url)):
        connect(url, max_retries=1).transcribe(b"audio")


def test_unknown_host(connect: Any) -> None:
    with pytest.raises(ConnectionFailed, match=r"no-such-host\.invalid"):
        connect("no-such-host.invalid:8001", max_retries=0).health()


def test_server_that_does_not_speak_grpc(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        client = connect(f"127.0.0.1:{listener.getsockname()[1]}", max_retries=0)

        def answer() -> None:
            one, _ = listener.accept()
            one.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            one.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionFailed):
            client.health(timeout_s=PATIENCE_S)
        thread.join()


def test_busy_server_is_not_a_failed_connection(fake: Any, connect: Any) -> None:
    server = fake(fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"))
    with pytest.raises(Unavailable) as caught:
        connect(server.url, max_retries=0).transcribe(b"audio")
    assert not isinstance(caught.value, ConnectionFailed)


@pytest.mark.parametrize("url", ["http://localhost:8000", "ftp://x", "", "grpc://"])
def test_address_that_is_none(url: str, connect: Any) -> None:
    with pytest.raises(ValueError, match="must be `host:port`"):
        connect(url).health()


def test_errors_survive_pickling() -> None:
    error = InvalidRequest("the reason", status="INVALID_ARGUMENT", request_id="r-1")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.request_id) == ("the reason", error.status, "r-1")


def test_bad_response_is_a_server_error(fake: Any, connect: Any) -> None:
    server = fake(event(b"not an event"))
    with pytest.raises(BadResponse) as caught:
        connect(server.url).transcribe(b"audio", request_id="r-9")
    assert isinstance(caught.value, ServerError)
    assert caught.value.request_id == "r-9"


def test_a_stream_that_a_proxy_ends_is_a_connection_that_broke(fake: Any, connect: Any) -> None:
    """gRPC calls it cancelled, and nobody did: it is tried again, unlike a server's refusal."""
    words = "Stream removed (RST_STREAM (Received RST_STREAM with error code 8))"
    broken = fails(grpc.StatusCode.CANCELLED, words)
    with pytest.raises(ConnectionFailed):
        connect(fake(broken).url, max_retries=0).transcribe(b"audio")
    server = fake(broken, events(FINISHED))
    assert connect(server.url).transcribe(b"audio").text
    assert len(server.requests) == 2

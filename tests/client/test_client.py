"""Both clients against the fake server: what they send, streams, broken answers."""

from __future__ import annotations

import inspect
import io
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from cutter import Cutter
from fake_server import (
    FINISHED,
    PATIENCE_S,
    PROGRESS,
    RESULT,
    SEGMENTS,
    FakeServer,
    event,
    events,
    reply,
    says,
)
from tritonclient.grpc import service_pb2

from onecard_client import (
    AsyncClient,
    BadResponse,
    Client,
    ConnectionFailed,
    InvalidRequest,
    Progress,
    Segments,
    ServerError,
    SpeechModel,
    Transcript,
)
from onecard_client.__main__ import main
from onecard_client._transport.aio_connection import AsyncConnection
from onecard_client._transport.connection import Connection

METHODS = [
    "transcribe", "transcribe_stream", "chat", "triage", "minutes", "minutes_stream", "ask",
    "voice", "limits", "ledger", "capacity", "speech_models", "health", "close",
]  # fmt: skip


@pytest.mark.parametrize("name", [*METHODS, "__init__"])
def test_both_clients_have_the_same_signatures(name: str) -> None:
    blocking = inspect.signature(getattr(Client, name))
    asynchronous = inspect.signature(getattr(AsyncClient, name))
    assert list(blocking.parameters.values()) == list(asynchronous.parameters.values())


def test_both_connections_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[inspect.Parameter]]:
        """Of the class itself; `__aenter__` is what `__enter__` is to the other one."""
        return {
            name.replace("__a", "__"): list(inspect.signature(value).parameters.values())
            for name, value in vars(kind).items()
            if inspect.isfunction(value)
        }

    assert methods(Connection) == methods(AsyncConnection)


def test_public_names_are_the_same() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(Client) == public(AsyncClient) == set(METHODS)


def test_request_is_what_the_models_take(fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED))
    transcript = connect(server.url, headers={"Authorization": "Bearer t"}).transcribe(
        b"\0audio\xff", request_id="r-1", language="de", min_speakers=2
    )
    (request,) = server.requests
    assert (request.model_name, request.id) == ("transcribe_stream", "r-1")
    assert [(one.name, one.datatype, list(one.shape)) for one in request.inputs] == [
        ("AUDIO", "BYTES", [1, 1]),
        ("OPTIONS", "BYTES", [1, 1]),
    ]
    assert server.audio() == b"\0audio\xff"
    assert server.options() == {"language": "de", "min_speakers": 2}
    assert server.metadata[0]["authorization"] == "Bearer t"
    assert transcript == Transcript.from_dict(RESULT)


def test_request_gets_an_id(fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED))
    connect(server.url).transcribe(b"audio")
    connect(server.url).transcribe(b"audio")
    first, second = (request.id for request in server.requests)
    assert first
    assert first != second


def test_audio_from_everywhere(fake: Any, connect: Any, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    path = tmp_path / "talk.wav"
    path.write_bytes(b"audio")
    with path.open("rb") as file:
        sources = [path, str(path), b"audio", bytearray(b"audio"), memoryview(b"audio"), file]
        for source in [*sources, io.BytesIO(b"audio")]:
            connect(server.url).transcribe(source)
            assert server.audio() == b"audio"
    assert len(server.requests) == 7


def test_audio_that_is_none(fake: Any, connect: Any, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    with pytest.raises(FileNotFoundError):
        connect(server.url).transcribe(tmp_path / "missing.wav")
    with pytest.raises(TypeError, match='mode "rb"'):
        connect(server.url).transcribe(io.StringIO("text"))
    with pytest.raises(TypeError, match="`int`"):
        connect(server.url).transcribe(7)
    assert server.requests == []


@pytest.mark.parametrize("value", [object(), float("nan"), b"bytes", {1, 2}])
def test_option_that_json_does_not_have(value: object, fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED))
    with pytest.raises(InvalidRequest, match="option `language`"):
        connect(server.url).transcribe(b"audio", language=value)
    assert server.requests == []


def test_messages_larger_than_grpcs_default(fake: Any, connect: Any) -> None:
    """gRPC's own limit is 4 MiB."""
    large = {**RESULT, "note": "x" * 8_000_000}
    server = fake(events({"event": "result", "result": large}))
    transcript = connect(server.url).transcribe(b"a" * 8_000_000)
    assert len(server.audio()) == 8_000_000
    assert len(transcript.extra["note"]) == 8_000_000


# streams


def test_stream_yields_events_in_order(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS, SEGMENTS, {"event": "of a newer server"}, FINISHED))
    progress, segments, transcript = connect(server.url).stream(b"audio")
    assert progress == Progress(stage="recognize", done=1.0, total=4.0)
    assert isinstance(segments, Segments)
    assert segments.segments[0].text == "Hello there."
    assert transcript == Transcript.from_dict(RESULT)


def test_connection_cut_in_a_stream(fake: Any, connect: Any) -> None:
    cut = threading.Event()
    server = fake(events(SEGMENTS, then=lambda request, context: cut.wait(PATIENCE_S) and ()))
    relay = Cutter(server.port)
    seen: list[Any] = []

    def cut_after_an_event() -> None:
        while not seen and not cut.wait(0.01):
            pass
        relay.cut()

    thread = threading.Thread(target=cut_after_an_event)
    thread.start()
    try:
        with pytest.raises(ConnectionFailed):
            connect(relay.url).stream(b"audio", seen)
    finally:
        cut.set()
        thread.join()
    assert len(server.requests) == 1


def test_stream_without_a_result(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS))
    with pytest.raises(BadResponse, match="ended without a result"):
        connect(server.url).stream(b"audio")


def test_stream_with_an_error_as_text(fake: Any, connect: Any) -> None:
    """Triton sends the errors that precede a model, such as an unknown one, in this way."""
    server = fake(says("Request for unknown model: 'transcribe_stream' is not found"))
    with pytest.raises(ServerError, match=r"is not found \(request id `r-1`\)") as caught:
        connect(server.url).stream(b"audio", request_id="r-1")
    assert (type(caught.value), caught.value.request_id) == (ServerError, "r-1")
    assert len(server.requests) == 1


def test_stream_asks_for_codes_and_not_for_grpc_statuses(fake: Any, connect: Any) -> None:
    """`triton_grpc_error` can crash Triton 2.51."""
    server = fake(events(FINISHED))
    connect(server.url).stream(b"audio")
    assert server.requests[0].parameters["code_in_message"].bool_param is True
    assert "triton_grpc_error" not in server.metadata[0]


def test_empty_final_response_is_no_event(fake: Any, connect: Any) -> None:
    def step(request: Any, context: Any) -> Any:
        yield from events(FINISHED)(request, context)
        last = service_pb2.ModelInferResponse(id=request.id)
        yield service_pb2.ModelStreamInferResponse(infer_response=last)

    assert len(connect(fake(step).url).stream(b"audio")) == 1


# broken answers


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"7",
        b'{"event": "progress"}',
        b'{"event": "progress", "stage": "align", "done": NaN, "total": 1}',
        b'{"event": "result"}',
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:30]),
)
def test_garbage_in_event(content: bytes, fake: Any, connect: Any) -> None:
    server = fake(event(content))
    with pytest.raises(BadResponse):
        connect(server.url).transcribe(b"audio")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "result",
    [
        None,
        [],
        {},
        {"segments": 7},
        {**RESULT, "segments": [{"start": "0", "end": 1, "text": ""}]},
        {**RESULT, "duration_s": float("nan")},
        {**RESULT, "account": None},
        {**RESULT, "speakers": [1]},
    ],
    ids=lambda result: repr(result)[-30:],
)
def test_garbage_in_result(result: Any, fake: Any, connect: Any) -> None:
    server = fake(events({"event": "result", "result": result}))
    with pytest.raises(BadResponse):
        connect(server.url).transcribe(b"audio")
    assert len(server.requests) == 1


def test_answer_of_another_model(fake: Any, connect: Any) -> None:
    server = fake(lambda request, context: [reply(request, "OUTPUT0", b"{}")])
    with pytest.raises(BadResponse, match=r"OUTPUT0.*EVENT"):
        connect(server.url).transcribe(b"audio")


@pytest.mark.parametrize("content", [b"", b"\1", b"\5\0\0\0abc"])
def test_bytes_that_are_not_length_prefixed(content: bytes, fake: Any, connect: Any) -> None:
    def step(request: Any, context: Any) -> Any:
        response = reply(request, "EVENT", b"")
        response.infer_response.raw_output_contents[0] = content
        return [response]

    with pytest.raises(BadResponse, match="length-prefixed"):
        connect(fake(step).url).transcribe(b"audio")


def test_health(fake: Any, connect: Any) -> None:
    health = connect(fake(events(FINISHED)).url).health()
    assert (health.live, health.ready) == (True, False)
    assert (health.server_name, health.server_version) == ("fake", "0.0")
    states = {model.name: model.ready for model in health.models}
    assert list(states)[:2] == ["transcribe", "transcribe_stream"]
    assert [name for name, ready in states.items() if not ready] == ["align"]
    assert health.speech_models == ()  # it does not tell


def test_health_tells_which_whispers_are_loaded(
    fake: Any, connect: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def ready(self: Any, request: Any, context: Any) -> Any:
        if request.name == "whisper_small":  # as Triton does of a model that was never loaded
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown model")
        return service_pb2.ModelReadyResponse(ready=True)

    monkeypatch.setattr(FakeServer, "ModelReady", ready)
    server = fake(events(FINISHED))
    server.parameters |= {"speech_models": "base,tiny.en,small", "speech_on_demand": "small"}
    assert connect(server.url).health().speech_models == (
        SpeechModel("base", loaded=True, on_demand=False),
        SpeechModel("tiny.en", loaded=True, on_demand=False),
        SpeechModel("small", loaded=False, on_demand=True),
    )
    main(["status", "--url", server.url])
    shown = capsys.readouterr().out.splitlines()
    assert shown[-3:] == [
        "  base     loaded",
        "  tiny.en  loaded",
        "  small    not loaded, on demand",
    ]

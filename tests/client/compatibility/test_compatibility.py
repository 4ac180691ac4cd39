"""Servers and clients of different versions talk to each other, by what each version said.

A file for each version has the requests that its client sent and the events with which its server
answered, as they were on the wire. `UPDATE_GOLDEN=1` writes that of this version, at its release.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_server import FakeServer, content, events, raw
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc

from onecard_client import Client, __version__
from tests.waiting import PATIENCE_S

HERE = Path(__file__).parent
VERSIONS = sorted(path.stem for path in HERE.glob("*.json"))
OPTIONS = {"language": "en", "max_speakers": 2}
MAIL = {"id": "m1", "subject": "Invoice 17", "body": "Please pay 20 euros by Friday."}
MEETING = {
    "language": "en",
    "duration_s": 9.0,
    "segments": [
        {
            "start": 0.0,
            "end": 4.0,
            "speaker": "Anna",
            "text": "We decided: the launch is on May 3.",
        },
        {"start": 4.5, "end": 9.0, "speaker": "Bob", "text": "I will tell the customers tomorrow."},
    ],
}
CALLS: dict[str, Callable[[Client, bytes], Any]] = {
    "transcribe_stream": lambda client, audio: client.transcribe(audio, **OPTIONS),
    "chat": lambda client, audio: list(client.chat("Hello", max_tokens=4, temperature=0)),
    "triage": lambda client, audio: list(client.triage([MAIL])),
    "minutes": lambda client, audio: client.minutes(MEETING),
}
LIVE = ("transcribe_stream", "chat", "triage")  # minutes take as long as all of these


def golden(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"{version}.json").read_text(encoding="utf-8"))
    return found


def sent(model: str, audio: bytes, answers: list[dict[str, Any]]) -> Any:
    """The request that today's client sends, and what it makes of such an answer."""
    server = FakeServer(events(*answers))
    try:
        with Client(server.url) as client:
            made = CALLS[model](client, audio)
        (request,) = server.requests
    finally:
        server.stop()
    return request, made


def shape(request: Any) -> dict[str, Any]:
    """What a server reads of a request before its content."""
    return {
        "inputs": [(one.name, one.datatype, list(one.shape)) for one in request.inputs],
        "parameters": sorted(request.parameters),
        "options": sorted(json.loads(request.raw_input_contents[1][4:])),
    }


def message(document: Mapping[str, Any], audio: bytes) -> Any:
    """A request as it was sent; the recording is not kept with it."""
    found = json_format.ParseDict(document, service_pb2.ModelInferRequest())
    if found.inputs[0].name == "AUDIO":
        found.raw_input_contents[0] = raw(audio)
    return found


def answered(server: Any, request: Any) -> list[dict[str, Any]]:
    """Every event of a server's answer, raw as any client gets it."""
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        found = []
        for response in stub.ModelStreamInfer(iter([request]), timeout=PATIENCE_S):
            assert not response.error_message, response.error_message
            if response.infer_response.outputs:
                found.append(json.loads(response.infer_response.raw_output_contents[0][4:]))
    return found


def kinds(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last event of each kind."""
    return {one["event"]: one for one in found}


def missing(old: Any, new: Any, at: str) -> Iterator[str]:
    """Where a newer document lacks what an older one has, or has another type of it."""
    if old is None or new is None:
        return
    if isinstance(old, bool) or not isinstance(old, int | float):
        if type(old) is not type(new):
            yield f"{at} is of type {type(new).__name__}, was {type(old).__name__}"
            return
    elif isinstance(new, bool) or not isinstance(new, int | float):
        yield f"{at} is no number any more"
    if isinstance(old, dict):
        for key, value in old.items():
            if key not in new:
                yield f"{at}.{key} is gone"
            else:
                yield from missing(value, new[key], f"{at}.{key}")
    elif isinstance(old, list) and old and new:
        yield from missing(old[0], new[0], f"{at}[0]")


@pytest.mark.parametrize("model", CALLS)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_server_is_understood(version: str, model: str) -> None:
    """Today's client sends such a server nothing that it does not know, and reads its answer."""
    known = golden(version)[model]
    request, made = sent(model, b"RIFF", known["events"])
    assert made
    before, now = shape(message(known["request"], b"RIFF")), shape(request)
    assert now["inputs"] == before["inputs"]
    assert {*now["parameters"]} <= {*before["parameters"]}
    assert {*now["options"]} <= {*before["options"]}
    if model == "transcribe_stream":
        assert made.segments
        assert made.segments[0].words


@pytest.mark.parametrize("model", LIVE)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_client_is_served(
    server: Any, few_words: bytes, version: str, model: str
) -> None:
    """Today's server takes its request, and every field that it reads is there."""
    known = golden(version)[model]
    old, new = kinds(known["events"]), kinds(answered(server, message(known["request"], few_words)))
    assert [*new][-1] == [*old][-1]
    assert {*old} <= {*new}
    gone = [fault for kind in old for fault in missing(old[kind], new[kind], kind)]
    assert not gone


def test_what_is_gone_is_found() -> None:
    old = {"a": [{"b": 1, "c": "x"}], "d": {"e": True}, "f": None}
    assert not [*missing(old, {**old, "new": 1, "f": 3}, "x")]
    assert [*missing(old, {"a": [{"b": 1.5}], "d": {"e": 1}, "f": 1}, "x")] == [
        "x.a[0].c is gone", "x.d.e is of type int, was bool",
    ]  # fmt: skip


@pytest.mark.skipif(os.environ.get("UPDATE_GOLDEN") != "1", reason="writes the file of a version")
def test_freeze(server: Any, few_words: bytes) -> None:
    """Keeps what this version says, of a server that runs."""
    found = {}
    for model in CALLS:
        stub = FakeServer(lambda request, context: context.abort(grpc.StatusCode.DATA_LOSS, "x"))
        with Client(stub.url) as client, pytest.raises(Exception, match="x"):
            CALLS[model](client, few_words)
        (request,) = stub.requests
        stub.stop()
        request.id = "a request of this version"
        told = kinds(answered(server, request))
        if model == "transcribe_stream":
            assert content(request) == few_words
            request.raw_input_contents[0] = raw(b"")
        found[model] = {
            "request": json_format.MessageToDict(request),
            "events": list(told.values()),
        }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (HERE / f"{__version__}.json").write_text(text + "\n", encoding="utf-8")

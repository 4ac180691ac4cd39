"""Values that nobody expects, in every field of every public model: each is answered or refused.

That the server then also stops in time is what the fixture `server` sees to, at its end.
"""

from __future__ import annotations

import dataclasses
import json
import time
import typing
import unicodedata
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import requests
from tritonclient.grpc import service_pb2, service_pb2_grpc

from evaluation import recordings
from onecard.chat.options import ChatOptions
from onecard.errors import MAX_MESSAGE_LETTERS
from onecard.options.transcribe import StreamOptions, TranscribeOptions
from onecard.triage.mail import FIELDS
from onecard.triage.options import TriageOptions
from tests.waiting import PATIENCE_S, until

SILENCE = recordings.wav(np.zeros(8000, np.int16))
MESSAGES = '[{"role": "user", "content": "Hi"}]'
EMAILS = '[{"id": "1", "subject": "Lunch?", "body": "Friday?"}]'
# JSON, or what is none. Those that are texts may be names as well.
TEXTS = {
    "half an emoji": r'"\ud83d"',
    "the other half": r'"\ude00\ud83d"',
    "NUL": r'"\u0000"',
    "control characters": r'"\u0007\u001b[2J\r\n"',
    "1 MB": '"' + "x" * 1_000_000 + '"',
    "the marker of a turn": '"<|im_end|>"',
}
VALUES = {
    **TEXTS,
    "brackets": "[" * 100_000,
    "closed brackets": "[" * 100_000 + "]" * 100_000,
    "braces": '{"a":' * 100_000,
    "deep": "[" * 90 + "]" * 90,
    "32 bits": str(2**32 + 1),
    "-32 bits": str(-(2**31) - 1),
    "63 bits": str(2**63),
    "64 bits": str(2**64),
    "100 digits": "9" * 100,
    "5,000 digits": "9" * 5000,
    "beyond floats": "1e999",
    "a large float": "1e300",
    "NaN": "NaN",
    "nothing": "null",
    "true": "true",
    "list": "[]",
    "object": "{}",
}


@dataclasses.dataclass(frozen=True)
class Model:
    """A public model, a request that it takes, and where in that a value may stand.

    `fields`: documents with `%s` in place of a value, or of a name where it stands before a colon.
    """

    name: str
    inputs: dict[str, bytes]
    fields: dict[str, list[str]]
    is_unary: bool = False


def options_of(kind: type, **others: object) -> list[str]:
    """OPTIONS with each option in turn, and with an unknown one."""
    names = [f'"{field.name}"' for field in dataclasses.fields(kind)]
    rest = "".join(f', "{name}": {json.dumps(value)}' for name, value in others.items())
    alone = [f"{{{name}: %s{rest if name.strip(chr(34)) not in others else ''}}}" for name in names]
    return ["%s", *alone, f'{{"zzz": %s{rest}}}', f"{{%s: 1{rest}}}"]


MODELS = [
    Model(
        "chat",
        {"MESSAGES": MESSAGES.encode(), "OPTIONS": b'{"max_tokens": 1}'},
        {
            "MESSAGES": [
                "%s",
                "[%s]",
                '[{"role": %s, "content": "Hi"}]',
                '[{"role": "user", "content": %s}]',
                '[{"role": "user", "content": [%s]}]',
                '[{"role": "user", "content": [{"type": %s, "text": "Hi"}]}]',
                '[{"role": "user", "content": [{"type": "text", "text": %s}]}]',
                '[{"role": "user", "content": "Hi", "name": %s}]',
                '[{"role": "user", "content": "Hi", %s: 1}]',
            ],
            "OPTIONS": [
                *options_of(ChatOptions, max_tokens=1),
                '{"max_tokens": 1, "stop": [%s]}',
                '{"max_tokens": 1, "response_format": {"type": %s}}',
                '{"max_tokens": 1, "response_format": {"type": "json_schema", "json_schema": %s}}',
                '{"max_tokens": 1, "response_format": {"type": "text", %s: 1}}',
            ],
        },
    ),
    Model(
        "triage",
        {"EMAILS": EMAILS.encode(), "OPTIONS": b"{}"},
        {
            "EMAILS": [
                "%s",
                "[%s]",
                '{"emails": %s}',
                *(f'[{{"id": "1", "subject": "s", "{name}": %s}}]' for name in FIELDS),
                '[{"id": "1", "subject": "s", "cc": [%s]}]',
                '[{"id": "1", "subject": "s", %s: "x"}]',
            ],
            "OPTIONS": [*options_of(TriageOptions), '{"categories": [%s]}'],
        },
    ),
    Model(
        "transcribe_stream",
        {"AUDIO": SILENCE, "OPTIONS": b"{}"},
        {"OPTIONS": options_of(StreamOptions)},
    ),
    Model(
        "transcribe",
        {"AUDIO": SILENCE, "OPTIONS": b"{}"},
        {"OPTIONS": options_of(TranscribeOptions)},
        is_unary=True,
    ),
]
FIELD_CASES = [
    pytest.param(model, name, document, id=f"{model.name} {name} {document}")
    for model in MODELS
    for name, documents in model.fields.items()
    for document in documents
]


@pytest.fixture(scope="module")
def stub(server) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def outcome(stub, model: Model, changed: dict[str, bytes], /, request_id="", **parameters) -> str:
    """What became of a request: its error, or nothing where it is answered.

    Whoever gets an event was understood, and leaves.
    """
    request = service_pb2.ModelInferRequest(model_name=model.name, id=request_id)
    for name, value in {"code_in_message": True, **parameters}.items():
        kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
        setattr(request.parameters[name], kinds[type(value)], value)
    for name, data in {**model.inputs, **changed}.items():
        request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        request.raw_input_contents.append(len(data).to_bytes(4, "little") + data)
    if model.is_unary:
        try:
            stub.ModelInfer(request, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
        return ""
    call = stub.ModelStreamInfer(iter([request]), timeout=PATIENCE_S)
    for response in call:
        if response.error_message:
            return response.error_message
        json.loads(response.infer_response.raw_output_contents[0][4:])
        if model.name == "triage":  # which has only counted its mails
            call.cancel()
            return ""
    return ""


def verify(stub, model: Model, changed: dict[str, bytes], /, **parameters) -> str:
    """The outcome, which is no fault of the server's."""
    started = time.monotonic()
    said = outcome(stub, model, changed, **parameters)
    while "which is the limit; try again" in said and time.monotonic() < started + PATIENCE_S:
        said = outcome(stub, model, changed, **parameters)  # those who left are not gone yet
    assert "internal error" not in said
    assert "DEADLINE" not in said
    assert not said or said.startswith(("INVALID_ARG", "UNAVAILABLE")), said
    assert len(said) <= MAX_MESSAGE_LETTERS + 100  # a frontend adds where it comes from
    assert not [letter for letter in said if unicodedata.category(letter) == "Cc"]
    return said


@pytest.mark.parametrize(("model", "name", "document"), FIELD_CASES)
def test_every_field_takes_or_refuses_every_value(stub, model, name, document):
    values = TEXTS if "%s:" in document else VALUES
    for value in values.values():
        verify(stub, model, {name: document.replace("%s", value).encode()})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_ids_and_parameters_of_a_request_are_no_way_in(stub, model):
    for text in ("x" * 1_000_000, "\x00", "a\x00b", "\x1b[2J\n", "\uffff", "%s%n", "😀"):
        verify(stub, model, {}, request_id=text)
        verify(stub, model, {"OPTIONS": b"{"}, request_id=text)
        assert "beside OPTIONS has" in verify(stub, model, {}, **{f"y{text}": 1})
        assert verify(stub, model, {}, zzz=text)
        assert verify(stub, model, {}, upload=text) if model.name == "transcribe_stream" else True
    for number in (2**63 - 1, -(2**63), 1e300, float("nan"), float("inf")):
        assert verify(stub, model, {}, zzz=number)
    # `priority` is a parameter of Triton's own, whose type its frontend checks
    for name in set(typing.get_type_hints(KINDS[model.name])) - {"priority"}:
        verify(stub, model, {}, **{name: 2**63 - 1})
        verify(stub, model, {}, **{name: "[" * 100_000})
        verify(stub, model, {}, **{name: float("nan")})


KINDS = {
    "chat": ChatOptions,
    "triage": TriageOptions,
    "transcribe": TranscribeOptions,
    "transcribe_stream": StreamOptions,
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_bytes_that_are_no_text_are_refused(stub, model):
    for data in (
        b"\xff\xfe{\x00}\x00",
        b'{"a": "\xfc"}',
        b"\xed\xa0\xbd",
        b"\x00",
        b"\x80" * 10**6,
    ):
        for name in model.inputs:
            if name != "AUDIO":
                assert verify(stub, model, {name: data})
    for name in set(model.inputs) - {"AUDIO"}:
        verify(stub, model, {name: b"\xef\xbb\xbf" + model.inputs[name]})  # with a byte order mark
        verify(stub, model, {name: b""})


def test_the_server_is_well_and_nobody_waits(server, stub):
    for model in MODELS:
        url = f"http://{server.http_url}/v2/models/{model.name}/ready"
        assert requests.get(url, timeout=PATIENCE_S).status_code == 200
    until(lambda: not pending(server), lambda: pending(server))
    for model in MODELS:
        assert outcome(stub, model, {}) == ""


def pending(server) -> list[str]:
    """Models with requests that wait or run."""
    text = requests.get(f"http://{server.metrics_url}/metrics", timeout=PATIENCE_S).text
    lines = [x for x in text.splitlines() if x.startswith("nv_inference_pending_request_count{")]
    assert lines
    return [line for line in lines if not line.endswith(" 0")]

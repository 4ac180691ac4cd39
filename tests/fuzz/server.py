"""KServe requests to a server: messages of gRPC and bodies of HTTP whose bytes were changed."""

from __future__ import annotations

import json
import os
import random
import urllib.error
import urllib.request
from functools import partial
from typing import Any

from tests.fuzz import documents, recordings
from tests.fuzz.children import HANG_S, Target

_SERVICE = "/inference.GRPCInferenceService/"
_HTTP = b"HTTP"  # begins a seed that is a body of HTTP; its model follows, then a line's end
_LATE = "DEADLINE_EXCEEDED"
_UNDERSTOOD = "ok"
_ANSWERED = (b'"event"', b'"segments"')  # of streams, of `transcribe`
_TIMEOUT_S = HANG_S - 5
_PUBLIC = ("transcribe", "transcribe_stream", "chat", "triage", "minutes")


def kind(address: str) -> Any:
    from tests.fuzz.targets import Kind

    class Requests(Kind):
        def input(self, seeds: list[Any], chance: random.Random) -> bytes:
            data = super().input(seeds, chance)
            return data[:4_000_000]

    return Requests(partial(_target, address), _seeds)


def _seeds() -> list[bytes]:
    from tritonclient.grpc import service_pb2

    found = []
    forms = recordings.all_forms(0.2)
    sounds = [forms["tagged"], forms["two-wavs"], forms["film-mp4"]]
    inputs: list[tuple[str, dict[str, bytes]]] = [
        ("transcribe", {"AUDIO": sounds[0], "OPTIONS": b"{}"}),
        ("transcribe_stream", {"AUDIO": sounds[1], "OPTIONS": b'{"diarize": false}'}),
        ("transcribe_stream", {"AUDIO": sounds[2], "OPTIONS": b'{"language": "en"}'}),
        ("chat", {"MESSAGES": _json(documents.OPTIONS[3]), "OPTIONS": b'{"max_tokens": 2}'}),
        ("triage", {"EMAILS": _json(documents.EMAILS[0]), "OPTIONS": b"{}"}),
    ]
    for model, given in inputs:
        request = service_pb2.ModelInferRequest(model_name=model, id="fuzz")
        request.parameters["code_in_message"].bool_param = True
        for name, data in given.items():
            request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
            request.raw_input_contents.append(len(data).to_bytes(4, "little") + data)
        found.append(request.SerializeToString())
        if not any(data.startswith(b"RIFF") for data in given.values()) and model in (
            "chat",
            "triage",
        ):
            texts = [
                {"name": name, "datatype": "BYTES", "shape": [1, 1], "data": [data.decode()]}
                for name, data in given.items()
            ]
            found.append(_HTTP + model.encode() + b"\n" + _json({"id": "1", "inputs": texts}))
    return found


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _target(address: str) -> Target:
    import grpc

    channel = grpc.insecure_channel(address)
    stream = channel.stream_stream(_SERVICE + "ModelStreamInfer")  # bytes in, bytes out
    http = f"http://127.0.0.1:{os.environ.get('HTTP_PORT', '8000')}"

    def ask(data: bytes) -> str:
        if data.startswith(_HTTP):
            model, _, body = data.removeprefix(_HTTP).partition(b"\n")
            return _post(http, model.decode(errors="replace"), body)
        answers = []
        try:
            for answer in stream(iter([data]), timeout=_TIMEOUT_S):
                answers.append(answer)
                if any(mark in answer for mark in _ANSWERED):  # it was understood
                    return _UNDERSTOOD
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
        return answers[-1].decode(errors="replace") if answers else "nothing"

    def send(data: bytes) -> str:
        told = ask(data)
        if _LATE in told:  # others were first, perhaps; what hangs does so again
            told = ask(data)
        return _judged(told)

    return send


def _post(http: str, model: str, body: bytes) -> str:
    model = model if model in _PUBLIC else "chat"
    request = urllib.request.Request(f"{http}/v2/models/{model}/infer", data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        return f"{error.code}: {error.read().decode(errors='replace')}"
    except TimeoutError as error:
        return f"{_LATE}: {error}"


def _judged(told: str) -> str:
    """Raises for what is no answer of a server that is well."""
    if told == _UNDERSTOOD:
        return told
    if "internal error" in told or _LATE in told or "is not healthy" in told:
        raise RuntimeError(told[:500])
    if told.startswith("UNAVAILABLE: failed to connect"):
        raise ConnectionError(told[:500])
    return f"refused: {told[:300]}"

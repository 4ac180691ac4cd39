"""Whatever comes, a gateway answers in the form of its API, and never with an error of its own."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fake_server import ANSWER, FINISHED, events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "include", "input", "instructions", "logprobs", "messages", "model", "num_ctx", "options",
    "prompt", "reasoning", "request_id", "self", "stream", "stream_options", "system", "text",
    "think", "format",
)  # fmt: skip
BODIES = st.dictionaries(st.sampled_from(NAMES) | st.text(), JSON, max_size=5)
CHATS = (
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/api/chat", "/api/generate",
)  # fmt: skip
FORMS = ("/v1/audio/transcriptions", "/asr", "/detect-language", "/transcribe")
FIELDS = st.dictionaries(
    st.sampled_from(("response_format", "temperature", "stream", "output", "encode", "language"))
    | st.text(min_size=1),
    st.text(),
    max_size=4,
)
MODEST = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@pytest.fixture
def chats(gateway: Any, fake: Any) -> Any:
    with gateway(fake(events(*ANSWER)).url).client() as client:
        yield client


@pytest.fixture
def speech(gateway: Any, fake: Any) -> Any:
    with gateway(fake(events(FINISHED)).url).client() as client:
        yield client


def verify(found: httpx.Response) -> None:
    assert found.status_code < 500 or found.status_code == 503, found.text
    if found.is_error:
        assert set(found.json()) & {"error", "detail"}


@MODEST
@given(path=st.sampled_from(CHATS), body=BODIES)
def test_any_json(chats: httpx.Client, path: str, body: Any) -> None:
    verify(chats.post(path, content=json.dumps(body)))


@MODEST
@given(path=st.sampled_from(CHATS + FORMS), body=st.binary())
def test_any_bytes(chats: httpx.Client, path: str, body: bytes) -> None:
    verify(chats.post(path, content=body))
    kind = {"content-type": "multipart/form-data; boundary=b"}
    verify(chats.post(path, content=b"--b\r\n" + body, headers=kind))


@MODEST
@given(path=st.sampled_from(FORMS), fields=FIELDS)
def test_any_fields(speech: httpx.Client, path: str, fields: dict[str, str]) -> None:
    name = "audio_file" if path in ("/asr", "/detect-language") else "file"
    try:
        request = speech.build_request("POST", path, data=fields, files={name: ("a", b"RIFF")})
    except UnicodeEncodeError:  # a half character, which httpx cannot send
        return
    verify(speech.send(request))


@pytest.mark.parametrize(
    "part",
    [
        b'content-disposition: form-data; name="file"; filename="'
        + b"a" * 2**20
        + b'"\r\n\r\nRIFF',
        b'content-disposition: form-data; name="prompt"\r\n\r\n' + b"a" * (2**20 + 1),
        b'content-disposition: form-data; name="a"\r\n\r\nb\r\n--b\r\n' * 65 + b"x: y\r\n\r\n",
    ],
    ids=["a header", "a field", "many fields"],
)
def test_what_would_fill_the_memory(speech: httpx.Client, part: bytes) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    found = speech.post("/asr", content=b"--b\r\n" + part + b"\r\n--b--\r\n", headers=kind)
    assert found.status_code == 400


@pytest.mark.parametrize("path", CHATS)
def test_deep_json(chats: httpx.Client, path: str) -> None:
    for depth in (200, 900, 100_000):
        deep = "[" * depth + "]" * depth
        for body in (deep, f'{{"messages": {deep}, "prompt": {deep}}}', f'{{"model": {deep}}}'):
            found = chats.post(path, content=body)
            assert found.status_code == 400, (depth, found.text)


def test_half_a_character_is_told_as_none(chats: httpx.Client) -> None:
    body = '{"model": "\\ud83d", "messages": [{"role": "user", "content": "\\ud83d"}]}'
    for found in (chats.post(path, content=body) for path in ("/v1/chat/completions", "/api/chat")):
        assert found.status_code == 200
        assert "\ufffd" in found.text

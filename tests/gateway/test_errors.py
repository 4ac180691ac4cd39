"""Each error of the client has a status, and each API its own form for it."""

from __future__ import annotations

import pytest

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
)
from onecard_gateway.errors import Refusal, refusal

STATUS = {
    InvalidRequest: (400, "invalid_request_error"),
    AccessDenied: (403, "permission_error"),
    Unavailable: (503, "server_error"),
    ConnectionFailed: (503, "server_error"),
    DeadlineExceeded: (504, "server_error"),
    Cancelled: (503, "server_error"),
    ServerError: (500, "server_error"),
    BadResponse: (502, "server_error"),
}


def test_every_error_is_known() -> None:
    found = [getattr(onecard_client, name) for name in onecard_client.__all__]
    errors = {one for one in found if isinstance(one, type) and issubclass(one, OnecardError)}
    assert errors - {OnecardError} == set(STATUS)


@pytest.mark.parametrize("kind", STATUS)
def test_status(kind: type[OnecardError]) -> None:
    found = refusal(kind("what was found"))
    assert (found.status, found.type) == STATUS[kind]
    assert found.message == "what was found"
    assert ("retry-after" in found.headers) == (found.status == 503)


@pytest.mark.parametrize(
    ("text", "param", "code"),
    [
        (
            "the conversation takes 70 tokens and the answer may take 16 (`max_tokens`), the "
            "model's context holds 64 tokens; shorten the conversation, or lower `max_tokens`",
            "messages",
            "context_length_exceeded",
        ),
        (
            "MESSAGES has 9000 letters, must have at most 8192; send less at a time",
            "messages",
            "context_length_exceeded",
        ),
        ("option `n` is `2`, must be left out or `1`", "n", None),
        ("`temperature` is `7`, must be 0 to 1", "temperature", None),
        (
            "OPTIONS has the unknown option `temprature`; did you mean `temperature`?",
            "temprature",
            None,
        ),
        ("AUDIO is empty", None, None),
    ],
)
def test_what_is_wrong(text: str, param: str | None, code: str | None) -> None:
    found = refusal(InvalidRequest(text))
    assert (found.param, found.code) == (param, code)


def test_forms() -> None:
    found = Refusal(400, "why", "file", "no_file")
    assert found.body("/api/chat") == {"error": "why"}
    assert found.body("/asr") == {"detail": "why"}
    assert found.body("/v1/models") == {
        "error": {
            "message": "why",
            "type": "invalid_request_error",
            "param": "file",
            "code": "no_file",
        }
    }

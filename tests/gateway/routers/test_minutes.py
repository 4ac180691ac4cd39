"""Minutes over HTTP, in front of a server with a script."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_server import RESULT, events

CITED = {"segments": [0], "start": 0.1, "end": 1.0}
MINUTES = {
    "version": "1",
    "template": "meeting",
    "language": "en",
    "title": "Hello",
    "summary": "Somebody said hello.",
    "topics": [{"text": "greeting", **CITED}],
    "decisions": [],
    "action_items": [{"what": "answer", "who": None, "due": None, "priority": "low", **CITED}],
    "open_questions": [],
    "quotes": [{"text": "Hello there.", "speaker": "SPEAKER_00", **CITED}],
}
SUMMARY = {
    "parts": [{"part": 1, "start": 0.1, "end": 1.0, "segments": [0, 0]}],
    "calls": [],
    "complete": True,
    "speech_s": 0.9,
    "covered_s": 0.9,
    "findings": 1,
    "dropped": 0,
    "problems": [],
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "seconds": 0.1,
    "waited_s": 0.0,
    "engine": {"model": "none, this is a fake"},
}
NOTE = {"part": 1, "kind": "topic", "text": "greeting", **CITED}
TOLD = [
    {"event": "progress", "stage": "minutes", "done": 0, "total": 1, "waiting_for": None},
    {"event": "note", "note": NOTE},
    {"event": "minutes", "minutes": MINUTES},
    {"event": "summary", "summary": SUMMARY},
]
URL = "/v1/minutes"


@pytest.fixture
def behind(fake: Any) -> Any:
    return fake(events(*TOLD))


@pytest.fixture
def client(gateway: Any, behind: Any) -> Any:
    with gateway(behind.url).client() as client:
        yield client


def test_minutes_of_a_transcript(client: Any, behind: Any) -> None:
    body = {"transcript": RESULT, "template": "call", "stream": False}
    found = client.post(URL, json=body)
    assert found.status_code == 200
    document = found.json()
    account = document.pop("account")
    assert document == MINUTES
    assert (account["complete"], account["prompt_tokens"]) == (True, 12)
    assert behind.options() == {"template": "call"}
    sent = behind.document()
    assert sent["segments"][0]["text"] == "Hello there."
    assert "words" not in sent["segments"][0]


def test_stream(client: Any) -> None:
    found = client.post(URL, json={"transcript": RESULT, "stream": True})
    lines = [line.removeprefix("data: ") for line in found.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    assert [json.loads(line)["event"] for line in lines[:-1]] == [
        "progress", "note", "minutes", "summary",
    ]  # fmt: skip
    note = json.loads(lines[1])["note"]
    assert (note["kind"], note["segments"]) == ("topic", [0])


def test_minutes_of_a_recording(gateway: Any, fake: Any) -> None:
    behind = fake(events({"event": "result", "result": RESULT}), events(*TOLD))
    with gateway(behind.url).client() as client:
        found = client.post(URL, files={"file": ("a.wav", b"RIFF")}, data={"template": "lecture"})
    assert found.status_code == 200
    assert found.json()["title"] == "Hello"
    assert found.json()["transcript"]["segments"][0]["text"] == "Hello there."


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "transcript"),
        ({"transcript": "hello"}, "transcript"),
        ({"transcript": {"text": "hello"}}, "transcript"),
        ({"transcript": RESULT, "stream": "yes"}, "stream"),
        ({"transcript": RESULT, "timeout_s": 5}, "timeout_s"),
    ],
)
def test_what_cannot_be_followed_is_refused(client: Any, body: Any, param: str) -> None:
    found = client.post(URL, json=body)
    assert found.status_code == 400
    assert found.json()["error"]["param"] == param


def test_a_recording_needs_both_scopes_and_counts_as_audio(
    gateway: Any, fake: Any, keys: Any
) -> None:
    text, speech = keys.add("text", "text"), keys.add("speech", "speech")
    both = keys.add("both", audio_seconds_a_day=1)
    behind = fake(events({"event": "result", "result": RESULT}), events(*TOLD), events(*TOLD))
    with gateway(behind.url, keys_file=keys.path).client() as client:

        def status(key: str, **body: Any) -> int:
            return client.post(URL, headers={"api-key": key}, **body).status_code

        form, document = {"files": {"file": ("a.wav", b"RIFF")}}, {"json": {"transcript": RESULT}}
        assert [status(text, **form), status(speech, **form)] == [403, 403]
        assert status(speech, **document) == 403
        assert status(both, **form) == 200  # of two seconds
        assert status(both, **form) == 429
        assert status(text, **document) == 200


def test_it_is_described(client: Any) -> None:
    described = client.get("/openapi.json").json()["paths"][URL]["post"]
    forms = described["requestBody"]["content"]
    assert set(forms) == {"application/json", "multipart/form-data"}
    assert "meeting" in json.dumps(forms)

"""What applications send, field for field, and what they read of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fake_server import ANSWER, PROGRESS, RESULT, SEGMENTS, events

TRANSCRIPTIONS = "/v1/audio/transcriptions"
CHAT = "/v1/chat/completions"
USER = [{"role": "user", "content": "Hello?"}]
VOICED = {
    "event": "result",
    "result": {**RESULT, "speaker_embeddings": {"SPEAKER_00": [0.6, 0.8]}},
}
BEARER = {"authorization": "Bearer sk-none"}
OBSIDIAN = "app://obsidian.md"
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


@dataclass(frozen=True)
class Sent:
    """What an application sends. `ignored`: fields of it that mean nothing here."""

    fields: dict[str, Any]
    name: str = "audio.wav"
    headers: dict[str, str] = field(default_factory=lambda: BEARER)
    ignored: str | None = None


def is_text(found: httpx.Response) -> bool:
    return bool(found.json()["text"] == "Hello there.")


def scriberr(found: httpx.Response) -> bool:
    document = found.json()
    [segment] = document["segments"]
    is_number = type(document["duration"]) is float
    return is_number and segment["id"] == 0 and document["words"][0]["word"] == "Hello"


def vexa(found: httpx.Response) -> bool:
    document = found.json()
    [segment] = document["segments"]
    words = segment["words"]
    is_told = segment["avg_logprob"] == -0.25 and words[0]["probability"] == 0.9
    return is_told and document["language_probability"] == 0.99 and "no_speech_prob" not in segment


def meet(found: httpx.Response) -> bool:
    document = found.json()
    [segment] = document["segments"]
    is_word = {"word", "start", "end", "speaker"} <= document["word_segments"][0].keys()
    return is_word and segment["words"] == document["word_segments"]


def speakr(found: httpx.Response) -> bool:
    return [segment["speaker"] for segment in found.json()["segments"]] == ["SPEAKER_00"]


def nextcloud(found: httpx.Response) -> bool:
    is_json = found.headers["content-type"] == "application/json"
    return is_json and found.json()["segments"][-1]["end"] == 1.0


def streamed(found: httpx.Response) -> bool:
    lines = [line.removeprefix("data: ") for line in found.text.splitlines() if line]
    kinds = [json.loads(line)["type"] for line in lines[:-1]]
    return kinds == ["transcript.text.delta", "transcript.text.done"]


SPEECH: dict[str, tuple[Sent, Callable[[httpx.Response], bool]]] = {
    "Open WebUI": (Sent({"model": "whisper-1"}), is_text),
    "LibreChat": (Sent({"model": "whisper-1", "language": "en"}, "audio.webm"), is_text),
    "Home Assistant, ha-openai-whisper-stt-api": (
        Sent(
            {
                "model": "whisper-1",
                "language": "en",
                "temperature": "0",
                "prompt": "",
                "response_format": "json",
            }
        ),
        is_text,
    ),
    "Obsidian": (
        Sent(
            {"model": "whisper-1", "language": "en", "response_format": "json", "prompt": "Names"},
            headers={**BEARER, "origin": OBSIDIAN},
        ),
        is_text,
    ),
    "Scriberr": (
        Sent(
            {
                "model": "whisper-1",
                "response_format": "verbose_json",
                "timestamp_granularities[]": ["word", "segment"],
                "temperature": "0.00",
            }
        ),
        scriberr,
    ),
    "Subtitle Edit": (
        Sent(
            {
                "model": "whisper-1",
                "response_format": "verbose_json",
                "timestamp_granularities[]": "word",
                "language": "en",
            }
        ),
        scriberr,
    ),
    "Vexa": (
        Sent(
            {
                "model": "default",
                "response_format": "verbose_json",
                "timestamp_granularities": "word",
                "prompt": "",
                "max_speech_duration_s": "15",
                "min_silence_duration_ms": "160",
            },
            ignored="max_speech_duration_s, min_silence_duration_ms",
        ),
        vexa,
    ),
    "meet": (
        Sent(
            {
                "model": "large-v3",
                "language": "fr",
                "timestamp_granularities": ["word", "segment"],
                "response_format": "diarized_json",
            }
        ),
        meet,
    ),
    "Speakr": (
        Sent(
            {
                "model": "gpt-4o-transcribe-diarize",
                "chunking_strategy": "auto",
                "response_format": "diarized_json",
                "known_speaker_names[]": ["Ann", "Bob"],
                "known_speaker_references[]": ["data:audio/wav;base64,AA=="] * 2,
            }
        ),
        speakr,
    ),
    "Nextcloud": (
        Sent(
            {"model": "whisper-1", "response_format": "verbose_json"},
            "file.mp3",
            {"authorization": "Basic bm9uZTpub25l"},
        ),
        nextcloud,
    ),
    "Nextcloud, subtitles": (
        Sent({"model": "whisper-1", "response_format": "vtt"}, "file.mp3"),
        lambda found: found.text.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:0"),
    ),
    "wyoming_openai, OpenWhispr": (
        Sent({"model": "gpt-4o-transcribe", "response_format": "json", "stream": "true"}),
        streamed,
    ),
}


@pytest.fixture
def client(gateway: Any, fake: Any) -> Any:
    behind = fake(events(PROGRESS, SEGMENTS, VOICED))
    with gateway(behind.url, allowed_origins=frozenset({OBSIDIAN})).client() as client:
        yield client


def test_speech(client: httpx.Client) -> None:
    for name, (sent, is_read) in SPEECH.items():
        files = {"file": (sent.name, b"RIFF")}
        found = client.post(TRANSCRIPTIONS, data=sent.fields, files=files, headers=sent.headers)
        assert found.status_code == 200, (name, found.text)
        assert is_read(found), (name, found.text)
        assert found.headers.get("x-onecard-ignored") == sent.ignored, name


def choice(found: httpx.Response) -> bool:
    return bool(found.json()["choices"][0]["message"]["content"] == "Good day.")


def used(found: httpx.Response) -> bool:
    return choice(found) and found.json()["usage"]["total_tokens"] == 15


def chunks(found: httpx.Response) -> bool:
    *_, usage, end = found.text.strip().split("\n\n")
    return '"total_tokens": 15' in usage and end == "data: [DONE]"


def ollama(found: httpx.Response) -> bool:
    document = found.json()
    return document["done"] is True and document["message"]["content"] == "Good day."


def lines(found: httpx.Response) -> bool:
    told = [json.loads(line) for line in found.text.splitlines()]
    text = "".join(one["message"]["content"] for one in told)
    return text == "Good day." and told[-1]["done_reason"] == "stop"


TEXT: dict[str, tuple[str, dict[str, Any], Callable[[httpx.Response], bool]]] = {
    "Open WebUI": (
        CHAT,
        {
            "model": "onecard-chat",
            "messages": USER,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        chunks,
    ),
    "Nextcloud": (
        CHAT,
        {"model": "m", "messages": USER, "n": 1, "max_completion_tokens": 10, "user": "ann"},
        used,
    ),
    "Continue": (
        CHAT,
        {"model": "m", "messages": USER, "max_tokens": 10, "stop": ["x"], "stream": False},
        choice,
    ),
    "n8n": (
        "/v1/responses",
        {
            "model": "gpt-4o",
            "input": [{"role": "developer", "content": "Be brief."}, *USER],
            "stream": False,
            "store": False,
        },
        lambda found: found.json()["output"][0]["content"][0]["text"] == "Good day.",
    ),
    "Home Assistant": (
        "/api/chat",
        {
            "model": "m",
            "messages": USER,
            "stream": True,
            "options": {"num_ctx": 64},
            "keep_alive": "-1s",
            "think": False,
        },
        lines,
    ),
    "paperless-ai": (
        "/api/chat",
        {"model": "m", "messages": USER, "format": SCHEMA, "stream": False, "think": False},
        ollama,
    ),
    "paperless-gpt": (
        "/api/generate",
        {"model": "m", "prompt": "Hello?", "format": "json", "stream": False},
        lambda found: found.json()["response"] == "Good day.",
    ),
    "Scriberr": (
        "/api/show",
        {"model": "m"},
        lambda found: found.json()["model_info"]["onecard.context_length"] == 64,
    ),
}


def test_text(gateway: Any, fake: Any) -> None:
    with gateway(fake(events(*ANSWER)).url).client() as client:
        for name, (path, body, is_read) in TEXT.items():
            found = client.post(path, json=body, headers={**BEARER, "api-key": "none"})
            assert found.status_code == 200, (name, found.text)
            assert is_read(found), (name, found.text)


def test_what_is_asked_before_anything_else(client: httpx.Client) -> None:
    """Lists of models, and whether somebody is there."""
    models = client.get("/v1/models", headers={"authorization": "Basic bm9uZTpub25l"}).json()
    ids = [model["id"] for model in models["data"]]
    assert any("whisper" in one for one in ids)
    assert any("transcribe" in one for one in ids)
    assert client.get("/").status_code == client.head("/").status_code == 200
    assert client.get("/api/tags").json()["models"][0]["name"]
    # the fake server has a model that is not ready
    assert {client.get(path).status_code for path in ("/health", "/readyz")} == {503}

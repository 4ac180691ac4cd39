"""whisper-asr-webservice's API and whisperx-blackwell's, in front of a server with a script."""

from __future__ import annotations

from typing import Any

import pytest
from fake_server import FINISHED, PROGRESS, SEGMENTS, events, hangs, says

FILE = {"audio_file": ("talk.wav", b"RIFF of some kind")}
RAW = {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}


@pytest.fixture(scope="module")
def behind(lasting_fake: Any) -> Any:
    return lasting_fake(events(PROGRESS, SEGMENTS, FINISHED))


@pytest.mark.parametrize(
    ("output", "begins"),
    [
        ("txt", "[SPEAKER_00]: Hello there.\n"),
        ("srt", "1\n00:00:00,100 --> "),
        ("vtt", "WEBVTT\n\n00:00:00.100 --> "),
        ("tsv", "start\tend\ttext\n100\t1000\tHello there.\n"),
    ],
)
def test_outputs(client: Any, output: str, begins: str) -> None:
    found = client.post("/asr", params={"output": output}, files=FILE)
    assert found.text.startswith(begins)
    assert found.headers["content-type"].startswith("text/plain")
    assert found.headers["asr-engine"] == "onecard"
    name = f'attachment; filename="talk.wav.{output}"'
    assert found.headers["content-disposition"] == name


def test_what_speakr_sends(client: Any, behind: Any) -> None:
    query = {
        "encode": "True",
        "task": "transcribe",
        "output": "json",
        "language": "en",
        "diarize": "true",
        "enable_diarization": "true",
        "return_speaker_embeddings": "true",
        "max_speakers": "4",
        "initial_prompt": "Names",
        "hotwords": "onecard",
        "model": "large-v3",
    }
    found = client.post("/asr", params=query, files=FILE)
    document = found.json()
    assert document["language"] == "en"
    assert document["text"] == "Hello there."
    assert document["segments"][0].items() >= {"speaker": "SPEAKER_00", "start": 0.1}.items()
    assert "x-onecard-ignored" not in found.headers
    assert behind.options() == {
        "task": "transcribe",
        "language": "en",
        "initial_prompt": "Names",
        "hotwords": "onecard",
        "max_speakers": 4,
        "speaker_embeddings": True,
        "diarize": True,
        "align": True,
    }


def test_what_bazarr_sends(client: Any, behind: Any) -> None:
    samples = {"audio_file": b"\0\1" * 600_000}  # more than half a minute
    query = {"encode": "false", "video_file": "film.mkv"}
    found = client.post("/detect-language", params=query, files=samples)
    assert found.json() == {
        "detected_language": "english",
        "language_code": "en",
        "confidence": 0.99,
    }
    assert len(behind.audio()) == 30 * 16_000 * 2
    query |= {"task": "transcribe", "language": "en", "output": "srt"}
    found = client.post("/asr", params=query, files=samples)
    assert found.text.startswith("1\n")
    assert len(behind.audio()) == 1_200_000
    assert behind.options().items() >= RAW.items()
    assert found.headers["x-onecard-ignored"] == "video_file"


def test_language_is_known_before_the_end(gateway: Any, fake: Any) -> None:
    told = {**SEGMENTS, "language": "fr", "language_probability": 0.5}
    behind = fake(events(PROGRESS, told, then=hangs))
    with gateway(behind.url).client() as client:
        found = client.post("/detect-language", files=FILE)
    assert found.json()["detected_language"] == "french"
    assert behind.cancelled.wait(10)


def test_transcribe(client: Any, behind: Any) -> None:
    data = {"language": "auto", "min_speakers": "1", "hallucinations": "Thanks for watching"}
    found = client.post("/transcribe", files={"file": ("a.m4a", b"RIFF")}, data=data)
    document = found.json()
    assert (document["status"], document["language"]) == ("success", "en")
    assert document["speakers"] == {"SPEAKER_00": {"duration": 0.9, "segments": 1}}
    assert document["num_speakers"] == 1
    assert document["word_segments"][0]["word"] == "Hello"
    assert behind.options() == {"language": "auto", "min_speakers": 1}
    assert found.headers["x-onecard-ignored"] == "hallucinations"


def test_errors_have_a_detail(gateway: Any, fake: Any, client: Any) -> None:
    assert "audio_file" in client.post("/asr", files={"file": ("a", b"b")}).json()["detail"]
    found = client.post("/asr", params={"output": "docx"}, files=FILE)
    assert (found.status_code, "one of txt, vtt" in found.json()["detail"]) == (400, True)
    with gateway(fake(says("INVALID_ARG: no audio")).url).client() as other:
        found = other.post("/asr", files=FILE)
    assert (found.status_code, found.json()) == (400, {"detail": "no audio"})

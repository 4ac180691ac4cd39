"""The texts of RESULT are those that the client makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from onecard.options.transcribe import FORMATS
from onecard.result import rendered
from onecard_client.transcript import Transcript

WORDS = [
    {"word": "Good", "start": 0.5, "end": 0.8, "speaker": "SPEAKER_00"},
    {"word": "morning", "start": 0.9, "end": 1.4, "speaker": "SPEAKER_00"},
]
ACCOUNT: dict[str, Any] = dict.fromkeys(
    ["duration_s", "speech_s", "silence_s", "transcribed_s", "dropped_s", "aligned_s"], 1.0
) | dict.fromkeys(["num_chunks", "num_words", "num_words_interpolated", "num_words_untimed"], 1)
RESULT: dict[str, Any] = {
    "version": "1",
    "segments": [
        {"start": 0.5, "end": 1.4, "text": "Good morning", "speaker": "SPEAKER_00", "words": WORDS},
        {"start": 2.0, "end": 3.0, "text": " <b>& more", "words": [{"word": "more"}]},
    ],
    "speakers": ["SPEAKER_00"],
    "language": "en",
    "language_probability": None,
    "duration_s": 3.0,
    "clip": {},
    "options": {"task": "transcribe"},
    "turns": [{"start": 0.5, "end": 1.4, "speaker": "SPEAKER_00"}],
    "account": ACCOUNT,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_text_is_the_clients(name: str) -> None:
    transcript = Transcript.from_dict(RESULT)
    assert rendered.texts(RESULT, [name]) == {name: getattr(transcript, f"to_{name}")()}


def test_turns_are_lines_of_rttm() -> None:
    found = rendered.texts(RESULT, ["rttm"])["rttm"]
    assert found == "SPEAKER audio 1 0.500 0.900 <NA> <NA> SPEAKER_00 <NA> <NA>\n"
    assert rendered.texts({**RESULT, "turns": None}, ["rttm"]) == {"rttm": ""}

"""Transcripts that were made up for a test, and their cues."""

from __future__ import annotations

import re
from typing import Any

from fake_server import RESULT

from onecard_client import Transcript
from onecard_client.subtitles import Cue, SubtitleLayout, cues

LAYOUT = SubtitleLayout()
MARKS = "\u202b\u202c"


def transcript_of(
    segments: list[dict[str, Any]], language: str = "en", task: str = "transcribe"
) -> Transcript:
    options = {**RESULT.get("options", {}), "task": task}
    return Transcript.from_dict(
        {**RESULT, "segments": segments, "language": language, "options": options}
    )


def said(
    text: str, start_s: float = 0.0, *, per_word_s: float = 0.4, units: str = "words", **more: Any
) -> dict[str, Any]:
    """A segment whose words, or characters as the server times Chinese, follow each other."""
    parts = text.split() if units == "words" else [char for char in text if not char.isspace()]
    words = [
        {
            "word": part,
            "start": round(start_s + index * per_word_s, 3),
            "end": round(start_s + (index + 1) * per_word_s, 3),
            "score": 0.9,
        }
        for index, part in enumerate(parts)
    ]
    end_s = start_s + len(parts) * per_word_s
    return {"start": start_s, "end": end_s, "text": text, "words": words, **more}


def untimed(text: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"start": start_s, "end": end_s, "text": text, "words": []}


def found(transcript: Transcript, **layout: Any) -> list[Cue]:
    return list(cues(transcript, SubtitleLayout(**layout)))


def plain(text: str) -> str:
    """A cue's text in one line, without labels and marks."""
    text = re.sub(f"[{MARKS}]|</?u>", "", text)
    return re.sub(r"\[SPEAKER_\d+\]:\s", "", text)


def spoken(shown: list[Cue]) -> str:
    return re.sub(r"\s", "", "".join(plain(cue.text) for cue in shown))

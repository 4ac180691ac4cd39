"""What minutes are made of: a transcript that came, or one that is made of audio first."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from onecard.errors import InvalidRequest

Event = dict[str, Any]


def verify(has_transcript: bool, has_audio: bool, takes_audio: bool) -> None:
    """Refuse neither, both, and audio where this server has no models of speech."""
    if has_transcript == has_audio:
        found = "both" if has_audio else "neither of them"
        raise InvalidRequest(
            f"the request has {found}, must have TRANSCRIPT or AUDIO; send one of them"
        )
    if has_audio and not takes_audio:
        raise InvalidRequest(
            "AUDIO came, and this plan has the models of speech in another server; transcribe "
            "there, and send its RESULT as TRANSCRIPT"
        )


def transcribed(events: Generator[Event, None, None]) -> Generator[Event, None, str]:
    """Tells the events of a transcription, and returns its RESULT; closing this closes them."""
    result = ""
    with contextlib.closing(events):
        for event in events:
            if event["event"] == "result":
                result = event["result"]
            yield event
    return result

"""The option `known_speakers`: names, and a vector of each one's voice."""

from __future__ import annotations

import math
import re
from typing import Any

from onecard.errors import InvalidRequest, named

MAX_VOICES = 64
MAX_NAME_LETTERS = 100
MAX_NUMBERS = 4096  # of a vector; networks have some hundreds
_MAX_NUMBER = 1e6
_LABEL = re.compile(r"SPEAKER_\d+")


def verify(voices: dict[str, Any] | None, is_diarized: bool) -> None:
    """Raises InvalidRequest for what are no names and vectors."""
    if voices is None:
        return
    if not is_diarized:
        raise InvalidRequest(
            "`known_speakers` is set and `diarize` is false; leave one of them out, for voices "
            "are compared with those that diarization tells apart"
        )
    if not 0 < len(voices) <= MAX_VOICES:
        raise InvalidRequest(
            f"`known_speakers` has {len(voices)} names, must have 1 to {MAX_VOICES}, each with the "
            "list of numbers of a voice; leave others out"
        )
    for name, voice in voices.items():
        _verify_name(name)
        if not _is_voice(voice):
            raise InvalidRequest(
                f"`known_speakers` has for {named(name)} something else than 1 to {MAX_NUMBERS} "
                "numbers that are not all 0; send the vector that `speaker_embeddings` told"
            )


def _verify_name(name: str) -> None:
    is_plain = 0 < len(name.strip()) <= len(name) <= MAX_NAME_LETTERS and name.isprintable()
    if not is_plain or _LABEL.fullmatch(name):
        raise InvalidRequest(
            f"`known_speakers` has the name {named(name)}, must have names of up to "
            f"{MAX_NAME_LETTERS} printable letters and none like SPEAKER_00, which are for others; "
            "give another name"
        )


def _is_voice(voice: Any) -> bool:
    if not isinstance(voice, list) or not 0 < len(voice) <= MAX_NUMBERS:
        return False
    return all(map(_is_number, voice)) and any(voice)


def _is_number(found: Any) -> bool:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return is_number and math.isfinite(found) and abs(found) <= _MAX_NUMBER

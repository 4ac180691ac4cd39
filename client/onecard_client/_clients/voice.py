"""A voice: the vector by which a server knows a person again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecard_client._errors import InvalidRequest
from onecard_client.transcript import Transcript


class Voice(tuple[float, ...]):
    """The vector of a voice. `duration_s`: of the recording that it was made of."""

    duration_s: float


# A recording of one person, of which nothing but the vector is wanted: what costs time is left out.
OPTIONS: Mapping[str, Any] = {
    "num_speakers": 1,
    "speaker_embeddings": True,
    "language": "en",
    "align": False,
    "temperature_increment_on_fallback": None,
}


def of(transcript: Transcript) -> Voice:
    """The one voice in a transcript with `OPTIONS`. Raises InvalidRequest where there is none."""
    for vector in (transcript.speaker_embeddings or {}).values():
        if any(vector):
            voice = Voice(vector)
            voice.duration_s = transcript.duration_s
            return voice
    raise InvalidRequest(
        f"the recording of a voice has {transcript.duration_s:.1f} s and too little speech, must "
        "have a second or more of one person alone; 2 to 10 s are best"
    )

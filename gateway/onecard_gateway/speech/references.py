"""Recordings of known speakers' voices, as OpenAI's API takes them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from onecard_client import AsyncClient, InvalidRequest
from onecard_gateway.errors import Refusal
from onecard_gateway.speech.form import Fields

OPTION = "known_speakers"
NAMES, REFERENCES = "known_speaker_names", "known_speaker_references"
MAX_REFERENCES = 4  # as OpenAI's
_SCHEME = "data:"


def given(fields: Fields) -> dict[str, Any]:
    """The option of known speakers, whose voices are still recordings, in base64.

    Raises Refusal for names without recordings, and for recordings that are none.
    """
    names, texts = fields.texts(NAMES), fields.texts(REFERENCES)
    distance = fields.number("known_speaker_distance")
    if not names and not texts:
        return {}
    if len(names) != len(texts) or len(names) > MAX_REFERENCES or len({*names}) < len(names):
        raise Refusal(
            400,
            f"there are {len(names)} `{NAMES}` and {len(texts)} `{REFERENCES}`, must be 1 to "
            f"{MAX_REFERENCES} different names and a recording for each, in the same order",
            REFERENCES,
        )
    found = {name: _recording(name, text) for name, text in zip(names, texts, strict=True)}
    return {OPTION: found} | ({} if distance is None else {"known_speaker_distance": distance})


def _recording(name: str, text: str) -> str:
    """The base64 in a data URL, or the text that is nothing but base64."""
    told = text
    if text.startswith(_SCHEME):
        kind, _, told = text.partition(",")
        if not kind.endswith(";base64"):
            told = ""
    try:
        is_one = bool(base64.b64decode(told, validate=True))
    except (binascii.Error, ValueError):
        is_one = False
    if not is_one:
        raise Refusal(
            400,
            f"the recording of `{name[:80]}` is `{text[:40]}`, must be a data URL with base64, "
            "such as `data:audio/wav;base64,UklGR...`; send 2 to 10 s of this person alone",
            REFERENCES,
        )
    return told


async def resolved(
    client: AsyncClient, options: Mapping[str, Any], timeout_s: float, request_id: str
) -> tuple[dict[str, Any], float]:
    """The same options, with the vectors of the voices in place of their recordings.

    Returns:
        The options, and the seconds of these recordings.

    Raises:
        Refusal: a recording has no voice.
        OnecardError: as `onecard_client.AsyncClient.voice` does.
    """
    recordings: Mapping[str, Any] = options.get(OPTION) or {}
    if not recordings:
        return dict(options), 0.0
    voices: dict[str, list[float]] = {}
    audio_s = 0.0
    for name, recording in recordings.items():
        audio = base64.b64decode(recording)
        try:
            voice = await client.voice(audio, timeout_s=timeout_s, request_id=request_id)
        except InvalidRequest as error:
            text = f"the recording of `{name[:80]}` cannot be used: {error}"
            raise Refusal(400, text, REFERENCES) from error
        voices[name] = list(voice)
        audio_s += voice.duration_s
    return {**options, OPTION: voices}, audio_s

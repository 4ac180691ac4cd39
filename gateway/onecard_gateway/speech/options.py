"""A server's options for a transcription, from the fields of a form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from onecard_gateway.errors import Refusal
from onecard_gateway.speech import references
from onecard_gateway.speech.form import Fields, wrong


def _segments(fields: Fields, name: str) -> list[Any] | None:
    """The caller's own segments, whose members are the server's to judge."""
    text = fields.text(name)
    try:
        found = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        found = text
    if not isinstance(found, list | None):
        raise wrong(name, text, 'JSON such as `[{"start": 1.2, "end": 4.8}]`')
    return found


def _formats(fields: Fields, name: str) -> list[str] | None:
    """Names of texts, repeated or with commas between."""
    named = (one.strip() for text in fields.texts(name) for one in text.split(","))
    return [one for one in named if one] or None


# Of onecard itself; what an application does not send is the server's to decide.
_OWN: dict[str, Callable[[Fields, str], Any]] = {
    "hotwords": Fields.text,
    "num_speakers": Fields.whole,
    "min_speakers": Fields.whole,
    "max_speakers": Fields.whole,
    "vad_filter": Fields.flag,
    "suppress_numerals": Fields.flag,
    "beam_size": Fields.whole,
    "strict": Fields.flag,
    "separate_channels": Fields.flag,
    "offset": Fields.number,
    "duration": Fields.number,
    "clip_timestamps": Fields.text,
    "segments": _segments,
    "formats": _formats,
    "prefix": Fields.text,
    "max_new_tokens": Fields.whole,
    "condition_on_previous_text": Fields.flag,
    "without_timestamps": Fields.flag,
    "multilingual": Fields.flag,
    "hallucination_silence_threshold": Fields.number,
    "patience": Fields.number,
    "no_repeat_ngram_size": Fields.whole,
}
# Of samples without a header; without `encoding` they say nothing.
_RAW: dict[str, Callable[[Fields, str], Any]] = {
    "encoding": Fields.text,
    "sample_rate": Fields.whole,
    "channels": Fields.whole,
}
_SPEAKERS = ("num_speakers", "min_speakers", "max_speakers")


def own(fields: Fields) -> dict[str, Any]:
    """The options that onecard has and others do not, as far as they are given."""
    readers = {**_OWN, **(_RAW if fields.text("encoding") else {})}
    found = {name: read(fields, name) for name, read in readers.items()}
    return {name: value for name, value in found.items() if value is not None}


def openai(fields: Fields, task: str) -> dict[str, Any]:
    """OpenAI's fields, and onecard's."""
    found: dict[str, Any] = {
        "task": task,
        "language": fields.text("language"),
        "initial_prompt": fields.text("prompt"),
        "temperature": fields.number("temperature"),
    }
    found = {name: value for name, value in found.items() if value is not None}
    return found | own(fields) | references.given(fields)


def verify_room_for_formats(fields: Fields, field: str, value: str) -> None:
    """Refuse `formats` beside the `value` of `field`, which makes the answer one text."""
    if _formats(fields, "formats"):
        raise Refusal(
            400,
            f"`{field}` is `{value}` and `formats` is given, and a text has no place for others; "
            "leave one of them out, or ask for `json`",
            "formats",
        )


def wants_speakers(fields: Fields, options: dict[str, Any]) -> bool | None:
    """Whether speakers shall be told apart; None where nothing is said of them."""
    wanted = [fields.flag(name) for name in ("diarize", "enable_diarization")]
    wanted_by = (*_SPEAKERS, references.OPTION)
    if any(name in options for name in wanted_by) or True in wanted:
        return True
    return False if False in wanted else None

"""A server's options for a transcription, from the fields of a form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onecard_gateway.speech import references
from onecard_gateway.speech.form import Fields

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


def wants_speakers(fields: Fields, given: dict[str, Any]) -> bool | None:
    """Whether speakers shall be told apart; None where nothing is said of them."""
    wanted = [fields.flag(name) for name in ("diarize", "enable_diarization")]
    wanted_by = (*_SPEAKERS, references.OPTION)
    if any(name in given for name in wanted_by) or True in wanted:
        return True
    return False if False in wanted else None

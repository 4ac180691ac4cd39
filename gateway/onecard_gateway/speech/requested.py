"""What a form in OpenAI's fields asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard_gateway.errors import Refusal
from onecard_gateway.models import SPEECH, names_speakers
from onecard_gateway.speech import formats, options
from onecard_gateway.speech.form import Fields

TASKS = ("transcribe", "translate")
_TRANSCRIPT_ALONE = ("json", "text")


@dataclass(frozen=True)
class Requested:
    """A request for a transcript.

    Attributes:
        options: the server's.
        headers: of the answer.
    """

    options: Mapping[str, Any]
    form: formats.Form
    is_streamed: bool
    headers: Mapping[str, str]


def requested(fields: Fields, task: str) -> Requested:
    """Raises Refusal for fields that cannot be followed."""
    name = fields.choice("response_format", formats.FORMATS, "json")
    is_streamed = fields.flag("stream") or False
    if is_streamed and name in formats.SUBTITLES:
        raise Refusal(
            400,
            f"`response_format` is `{name}` and `stream` is true, and subtitles are made of the "
            "whole transcript; leave `stream` out, or ask for `json`",
            "stream",
        )
    if name in formats.TEXTS and not is_streamed:
        options.verify_room_for_formats(fields, "response_format", name)
    model = fields.text("model") or ""
    fields.text("chunking_strategy")  # the server cuts long recordings itself
    given = options.openai(fields, task)
    has_speakers = options.wants_speakers(fields, given)
    if has_speakers is None:
        has_speakers = name == "diarized_json" or names_speakers(model)
    # nothing is aligned for those who want no times, unless speakers are told by them
    wants_times = name not in _TRANSCRIPT_ALONE or "formats" in given
    if model and model not in SPEECH:
        given["model"] = model
    given |= {"diarize": has_speakers, "align": has_speakers or wants_times}
    form = formats.Form(name, task, _has_words(fields))
    return Requested(given, form, is_streamed, fields.headers())


def _has_words(fields: Fields) -> bool:
    wanted = ",".join(fields.texts("timestamp_granularities"))
    return "word" in {name.strip() for name in wanted.split(",")}

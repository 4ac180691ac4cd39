"""The formats of a transcript in OpenAI's API, and onecard's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from onecard_client import Transcript
from onecard_gateway.speech import languages

Document = dict[str, Any]
# What a segment has of its decoding; what a server does not tell is left out, never made up.
FIGURES = ("seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob")
SUBTITLES = ("srt", "vtt")
TEXTS = ("text", *SUBTITLES)
_SHORT_TIMES = re.compile(
    r"^(?P<start>\d\d:\d\d\.\d{3}|\d+:\d\d:\d\d\.\d{3}) --> "
    r"(?P<end>\d\d:\d\d\.\d{3}|\d+:\d\d:\d\d\.\d{3})$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Form:
    """How an answer is told. `task`: OpenAI's word; `has_words`: words and their times as well.

    `minutes`: options of those that are made of the transcript; None where none are wanted.
    """

    name: str
    task: str = "transcribe"
    has_words: bool = False
    minutes: Mapping[str, Any] | None = None


def response(transcript: Transcript, form: Form, headers: Mapping[str, str]) -> Response:
    """The answer to a transcription."""
    made = _FORMATS[form.name](transcript, form)
    if isinstance(made, str):
        return PlainTextResponse(made, headers=dict(headers), media_type=_KINDS[form.name])
    return JSONResponse(made, headers=dict(headers))


def _json(transcript: Transcript, form: Form) -> Document:
    return {"text": transcript.text, "usage": _usage(transcript), **rendered(transcript)}


def _text(transcript: Transcript, form: Form) -> str:
    return transcript.text + "\n"


def _srt(transcript: Transcript, form: Form) -> str:
    return transcript.to_srt()


def vtt(transcript: Transcript, form: Form | None = None) -> str:
    """WebVTT whose times all have hours, without which some applications cannot read them."""
    return _SHORT_TIMES.sub(
        lambda found: f"{_with_hours(found['start'])} --> {_with_hours(found['end'])}",
        transcript.to_vtt(),
    )


def _with_hours(time: str) -> str:
    return time if time.count(":") == 2 else f"00:{time}"


def verbose(transcript: Transcript, form: Form) -> Document:
    """`verbose_json`."""
    found = transcript.to_dict()
    document: Document = {
        "task": form.task,
        "language": languages.name(transcript.language),
        "language_code": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration_s,
        "text": transcript.text,
        "segments": [
            _verbose_segment(number, segment, form.has_words)
            for number, segment in enumerate(found["segments"])
        ],
        "usage": _usage(transcript),
    }
    if form.has_words:
        document["words"] = [_word(word) for word in found["word_segments"]]
    if transcript.turns is not None:
        document["speakers"] = list(transcript.speakers)
    return document | _known(found)


def _verbose_segment(number: int, segment: Mapping[str, Any], has_words: bool) -> Document:
    document = {"id": number, **_kept(segment, "start", "end", "text", "speaker", *FIGURES)}
    if has_words:
        document["words"] = [_word(word) for word in segment["words"]]
    return document


def _word(word: Mapping[str, Any]) -> Document:
    """A word, whose score is a probability to those who look for one."""
    document = {"start": None, "end": None, **_kept(word, "word", "start", "end", "speaker")}
    if "score" in word:
        document |= {"score": word["score"], "probability": word["score"]}
    return document


def _kept(document: Mapping[str, Any], *names: str) -> Document:
    return {name: document[name] for name in names if document.get(name) is not None}


def diarized(transcript: Transcript, form: Form) -> Document:
    """`diarized_json`, with WhisperX's `word_segments`, which some read there."""
    found = transcript.to_dict()
    document = {
        "task": form.task,
        "duration": transcript.duration_s,
        "text": transcript.text,
        "segments": diarized_segments(transcript),
        "word_segments": [_word(word) for word in found["word_segments"]],
        "usage": _usage(transcript),
    }
    return document | _known(found)


def _known(document: Mapping[str, Any]) -> Document:
    """What became of the voices of known speakers, and texts that the server made, if any."""
    return _kept(document, "known_speakers", "formats")


def rendered(transcript: Transcript) -> Document:
    """The texts that the server was asked to make (`formats`)."""
    return {} if transcript.formats is None else {"formats": dict(transcript.formats)}


def diarized_segments(transcript: Transcript) -> list[Document]:
    """Segments with their speakers, null where nobody could be told."""
    return [
        {
            "id": f"seg_{number}",
            "type": "transcript.text.segment",
            "start": segment["start"],
            "end": segment["end"],
            "text": segment["text"],
            "speaker": segment.get("speaker"),
            "words": [_word(word) for word in segment["words"]],
        }
        for number, segment in enumerate(transcript.to_dict()["segments"])
    ]


def result(transcript: Transcript, form: Form) -> Document:
    """`result`, which is the server's RESULT."""
    return transcript.to_dict()


def _usage(transcript: Transcript) -> Document:
    return {"type": "duration", "seconds": transcript.duration_s}


_FORMATS: Mapping[str, Callable[[Transcript, Form], str | Document]] = {
    "json": _json,
    "text": _text,
    "srt": _srt,
    "vtt": vtt,
    "verbose_json": verbose,
    "diarized_json": diarized,
    "result": result,
}
FORMATS = tuple(_FORMATS)
_KINDS = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}

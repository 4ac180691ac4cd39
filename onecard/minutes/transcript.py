"""TRANSCRIPT: a RESULT as a caller sends it, read down to what is said, by whom and when."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard import documents
from onecard.errors import InvalidRequest, named, shown
from onecard.untrusted import sanitize

MAX_SEGMENTS = 50_000  # of one request; six hours of short sentences have some 10,000
_WANTED = 'a transcript, as in `{"segments": [{"start": 0.0, "end": 2.1, "text": "Hello"}]}`'
MAX_SPEAKER_LETTERS = 60


@dataclass(frozen=True)
class Line:
    """A segment, or the piece of one that is too long for a call; its texts are harmless to show.

    Attributes:
        id: the segment's place in the transcript, from 0.
        speaker: the name that is shown; empty where nobody is known.
    """

    id: int
    start: float
    end: float
    speaker: str
    text: str


@dataclass(frozen=True)
class Talk:
    """What is to be told of a transcript.

    Attributes:
        lines: of segments that say something, in order.
        num_segments: all of them.
        unknown: labels of speakers that have names, and are not there.
    """

    lines: tuple[Line, ...]
    language: str
    duration_s: float
    num_segments: int
    unknown: tuple[str, ...] = ()


def parse(text: str, names: Mapping[str, str], is_heard: bool = False) -> Talk:
    """The talk in a RESULT, or in any object with `segments` of `start`, `end` and `text`.

    Args:
        names: of speakers, by their labels.
        is_heard: it was made of audio just now, so that nobody knew which labels there would be.

    Raises:
        InvalidRequest: it is none, or a label is not in it and it was not heard; the first wrong
            segment is named.
    """
    found = documents.read("TRANSCRIPT", text, _WANTED)
    if not isinstance(found, dict) or not isinstance(found.get("segments"), list):
        what = "no list `segments`" if isinstance(found, dict) else documents.kind(found)
        raise InvalidRequest(f"TRANSCRIPT is {what}, must be an object; send {_WANTED}")
    segments = found["segments"]
    if len(segments) > MAX_SEGMENTS:
        raise InvalidRequest(
            f"TRANSCRIPT has {len(segments)} segments, must have at most {MAX_SEGMENTS}; send less"
        )
    lines = [_line(number, segment, names) for number, segment in enumerate(segments)]
    if not is_heard:
        _verify_labels(names, segments)
    duration_s = max([_number(found.get("duration_s")), *(line.end for line in lines)])
    language = found.get("language")
    return Talk(
        tuple(line for line in lines if line.text),
        language if isinstance(language, str) else "",
        duration_s,
        len(lines),
        tuple(sorted(set(names) - {segment.get("speaker") for segment in segments})),
    )


def _line(number: int, segment: Any, names: Mapping[str, str]) -> Line:
    where = f"TRANSCRIPT.segments[{number}]"
    if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
        raise InvalidRequest(f"{where} is {shown(segment)}, must be an object with a `text`")
    times = [segment.get("start"), segment.get("end")]
    start, end = map(_number, times)
    if any(value is None for value in times) or not 0 <= start <= end:
        raise InvalidRequest(
            f"{where} goes from {shown(times[0])} to {shown(times[1])}, must have a `start` and an "
            "`end` in seconds, the first not after the second"
        )
    speaker = segment.get("speaker")
    if speaker is not None and not isinstance(speaker, str):
        raise InvalidRequest(f"{where} has the speaker {shown(speaker)}, must be a text")
    shown_as = names.get(speaker or "", speaker or "")
    clean = sanitize.clip(sanitize.line(shown_as), MAX_SPEAKER_LETTERS).replace(":", " ")
    return Line(number, start, end, clean, sanitize.line(segment["text"]))


def _number(value: Any) -> float:
    """Less than nothing for what is no time."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return -1.0


def _verify_labels(names: Mapping[str, str], segments: list[Any]) -> None:
    known = {segment.get("speaker") for segment in segments}
    for label in names:
        if label not in known:
            there = ", ".join(sorted(filter(None, known))) or "nobody"
            raise InvalidRequest(
                f"option `speakers` names {named(label)}, and the speakers of TRANSCRIPT are: "
                f"{there[:200]}"
            )

"""RESULT as subtitles and other texts, for callers who do not make them themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onecard_formats.subtitles import SubtitleLayout
from onecard_formats.writers import WRITERS

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Word:
    """A word of RESULT."""

    word: str
    start: float | None
    end: float | None


@dataclass(frozen=True)
class Segment:
    """A segment of RESULT."""

    start: float
    end: float
    text: str
    speaker: str | None
    language: str | None
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Turn:
    """A turn of RESULT."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True)
class Transcript:
    """RESULT as the writers read it."""

    segments: tuple[Segment, ...]
    turns: tuple[Turn, ...] | None
    language: str
    options: Mapping[str, Any]

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for segment in self.segments for word in segment.words)


def texts(result: Document, formats: Sequence[str]) -> dict[str, str]:
    """The text of each format, as the client's writers make it by default."""
    segments = tuple(_segment(segment) for segment in result["segments"])
    turns = result["turns"]
    found = (
        None
        if turns is None
        else tuple(Turn(turn["start"], turn["end"], turn["speaker"]) for turn in turns)
    )
    transcript = Transcript(segments, found, result["language"], result["options"])
    return {name: WRITERS[name](transcript, SubtitleLayout()) for name in formats}


def _segment(segment: Document) -> Segment:
    words = (Word(word["word"], word.get("start"), word.get("end")) for word in segment["words"])
    return Segment(
        segment["start"],
        segment["end"],
        segment["text"],
        segment.get("speaker"),
        segment.get("language"),
        tuple(words),
    )

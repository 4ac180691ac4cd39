"""Lines that the model wrote of a part to findings that cite; what does not stand is dropped.

The grammar makes the lines what they should be. They are checked here all the same, because an
engine that ignores a guide does not say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from onecard.minutes.grammar import MAX_LETTERS, PRIORITIES
from onecard.minutes.transcript import Line
from onecard.untrusted import sanitize

Kind = Literal["topic", "decision", "action", "question", "quote", "answer"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_SHOWN = 80


class InvalidFinding(Exception):
    """A line that is none; says why."""


@dataclass(frozen=True)
class Citation:
    """Segments by their ids, in order, and from when to when they go."""

    segments: tuple[int, ...]
    start: float
    end: float

    def to_dict(self) -> dict[str, Any]:
        return {"segments": list(self.segments), "start": self.start, "end": self.end}


@dataclass(frozen=True)
class Head:
    """What a part, or the whole, is about."""

    title: str
    summary: str


@dataclass(frozen=True)
class Finding:
    """Something that was said, and where."""

    kind: Kind
    text: str
    citation: Citation
    who: str | None = None
    due: str | None = None
    priority: str | None = None
    speaker: str | None = None  # of a quote

    def to_dict(self) -> dict[str, Any]:
        """Its fields as in the minutes."""
        found: dict[str, Any] = {"text": self.text}
        if self.kind == "action":
            found = {"what": self.text, "who": self.who, "due": self.due, "priority": self.priority}
        if self.kind == "quote":
            found["speaker"] = self.speaker
        return found | self.citation.to_dict()


def head(document: Mapping[str, Any]) -> Head:
    """Title and summary. Raises InvalidFinding where one is missing or says nothing."""
    return Head(_text(document, "title"), _text(document, "summary"))


def read(line: str) -> dict[str, Any]:
    """One line's object. Raises InvalidFinding."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidFinding(f"the model's line is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise InvalidFinding(f"the model's line is `{found!r:.{MAX_SHOWN}}`, must be an object")
    return found


def finding(document: Mapping[str, Any], lines: Sequence[Line]) -> Finding:
    """The finding of a line about a part of `lines`.

    Raises:
        InvalidFinding: it is of no kind, cites a line that is not there, or says nothing.
    """
    kind = next((kind for kind in KINDS if kind in document), None)
    if kind is None:
        raise InvalidFinding(f"the model's line has the names `{list(document)!r:.{MAX_SHOWN}}`")
    cited = cited_lines(document[kind], lines)
    found = citation(cited)
    if kind == "topic":
        found = span(found, lines)
    if kind == "quote":
        text = " ".join(line.text for line in cited)
        return Finding(kind, text, found, speaker=cited[0].speaker or None)
    text = _text(document, "text")
    if kind != "action":
        return Finding(kind, text, found)
    priority = document.get("priority")
    if priority not in PRIORITIES:
        raise InvalidFinding(f"the model's `priority` is `{priority!r:.{MAX_SHOWN}}`")
    who, due = (_text_or_none(document, name) for name in ("who", "due"))
    return Finding(kind, text, found, who, due, priority)


def cited_lines(numbers: Any, lines: Sequence[Line]) -> list[Line]:
    """The lines of the part that `numbers`, from 1, name. Raises InvalidFinding."""
    if not isinstance(numbers, list) or not numbers:
        raise InvalidFinding(
            f"the model cites `{numbers!r:.{MAX_SHOWN}}`, must be numbers of lines"
        )
    for number in numbers:
        if type(number) is not int or not 1 <= number <= len(lines):
            raise InvalidFinding(
                f"the model cites line `{number!r:.{MAX_SHOWN}}` of a part of {len(lines)} lines"
            )
    return [lines[number - 1] for number in sorted(set(numbers))]


def citation(lines: Iterable[Line]) -> Citation:
    cited = list(lines)
    ids = tuple(sorted({line.id for line in cited}))
    return Citation(ids, min(line.start for line in cited), max(line.end for line in cited))


def span(cited: Citation, lines: Sequence[Line]) -> Citation:
    """All from the first to the last that `cited` has: what a topic covers."""
    first, last = cited.segments[0], cited.segments[-1]
    return citation(line for line in lines if first <= line.id <= last)


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    text = sanitize.clip(sanitize.line(value), MAX_LETTERS[name]) if isinstance(value, str) else ""
    if not text:
        raise InvalidFinding(f"the model's `{name}` is `{value!r:.{MAX_SHOWN}}`, must be a text")
    return text


def _text_or_none(document: Mapping[str, Any], name: str) -> str | None:
    return None if document.get(name) is None else _text(document, name)

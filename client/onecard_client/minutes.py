"""Minutes of a recording: what was said that matters, and the segments that say it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from onecard_client._answers.documents import encode, parse
from onecard_client.events import Segments
from onecard_client.transcript import Transcript

TranscriptSource = Transcript | Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """Something that was said: a topic, a decision or an open question.

    Attributes:
        segments: ids of the segments that say it, which are their places in the transcript.
        start, end: from when to when these go, in seconds.
    """

    text: str
    segments: tuple[int, ...]
    start: float
    end: float
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ActionItem:
    """What somebody has to do; `due` is in the words of the recording."""

    what: str
    who: str | None
    due: str | None
    priority: str
    segments: tuple[int, ...]
    start: float
    end: float
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Quote:
    """Words as the transcript has them."""

    text: str
    speaker: str | None
    segments: tuple[int, ...]
    start: float
    end: float
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Finding:
    """A finding that a caller's own document was made of, by its number from 1.

    Attributes:
        kind: `topic`, `decision`, `action`, `question` or `quote`; an action has `what`, who has to
            do it and the like in `extra`, all others have `text`.
    """

    number: int
    kind: str
    segments: tuple[int, ...]
    start: float
    end: float
    text: str | None = None
    what: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Note:
    """A finding as soon as it was written; the minutes have it merged with others like it.

    Attributes:
        kind: `topic`, `decision`, `action`, `question`, `quote`, or `answer`.
        part: of the recording, from 1.
    """

    part: int
    kind: str
    segments: tuple[int, ...]
    start: float
    end: float
    text: str | None = None
    what: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class MinutesProgress:
    """`done` of `total` parts are read.

    Attributes:
        waiting_for: `speech` while transcriptions, which come first, use the GPU.
    """

    stage: str
    done: int
    total: int
    waiting_for: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class MinutesSummary:
    """The account of one request.

    Attributes:
        parts: which seconds and segments each covered, and what was found and dropped there.
        complete: every part was read.
        speech_s, covered_s: how long somebody speaks, and how much of that was read.
        dropped: findings whose citation does not stand.
        problems: what had to be done without the model.
    """

    parts: tuple[Mapping[str, Any], ...]
    calls: tuple[Mapping[str, Any], ...]
    complete: bool
    speech_s: float
    covered_s: float
    findings: int
    dropped: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    waited_s: float
    problems: tuple[str, ...] = ()
    engine: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Minutes:
    """The minutes, as `docs/using/minutes.md` explains them.

    Attributes:
        document: of the schema that was sent; None without one, and where the model wrote none.
        findings: what that was made of, None without a schema; its `cites` are their numbers.
        account: the request's, where the whole was waited for.
    """

    version: str
    template: str
    language: str
    title: str
    summary: str
    topics: tuple[Item, ...]
    decisions: tuple[Item, ...]
    action_items: tuple[ActionItem, ...]
    open_questions: tuple[Item, ...]
    quotes: tuple[Quote, ...]
    document: Any = None
    findings: tuple[Finding, ...] | None = None
    account: MinutesSummary | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The minutes as parsed JSON, as the server sent them, with the account."""
        document: dict[str, Any] = encode(self)
        return document


@dataclass(frozen=True)
class Answer:
    """The answer to a question; None where the recording has none.

    Attributes:
        found: what each part of the recording answers.
    """

    version: str
    question: str
    language: str
    answer: str | None
    segments: tuple[int, ...]
    start: float | None
    end: float | None
    found: tuple[Item, ...] = ()
    account: MinutesSummary | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The answer as parsed JSON, with the account."""
        document: dict[str, Any] = encode(self)
        return document


@dataclass(frozen=True)
class WholeMinutes:
    """Everything at once, where the option `stream` is false."""

    summary: MinutesSummary
    result: Transcript | None = None  # where audio was sent
    minutes: Minutes | None = None
    answer: Answer | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


MinutesEvent = (
    MinutesProgress
    | Segments
    | Transcript
    | Note
    | Minutes
    | Answer
    | MinutesSummary
    | WholeMinutes
)
M = TypeVar("M", Minutes, Answer)
OnNote = Callable[[Note], object]


class Collector(Generic[M]):
    """The minutes, or the answer, out of a request's events, with the account."""

    def __init__(
        self,
        kind: type[M],
        on_progress: Callable[[Any], object] | None,
        on_note: OnNote | None,
    ) -> None:
        self._kind: type[M] = kind
        self._on_progress = on_progress
        self._on_note = on_note
        self.made: M | None = None

    def take(self, event: MinutesEvent) -> None:
        """Keep or tell the next event."""
        if isinstance(event, WholeMinutes):
            for one in (event.minutes, event.answer, event.summary):
                if one is not None:
                    self.take(one)
        elif isinstance(event, MinutesProgress):
            if self._on_progress is not None:
                self._on_progress(event)
        elif isinstance(event, Note):
            if self._on_note is not None:
                self._on_note(event)
        elif isinstance(event, MinutesSummary):
            if self.made is not None:
                self.made = replace(self.made, account=event)
        elif isinstance(event, self._kind):
            self.made = event


def event_to_dict(event: MinutesEvent) -> dict[str, Any]:
    """An event as parsed JSON, as the server sent it."""
    document: dict[str, Any] = event.to_dict() if isinstance(event, Transcript) else encode(event)
    name = _EVENTS[type(event)]
    is_flat = name in ("progress", "segments", "whole")
    return {"event": name, **(document if is_flat else {name: document})}


_EVENTS: Mapping[type, str] = {
    MinutesProgress: "progress",
    Segments: "segments",
    Transcript: "result",
    Note: "note",
    Minutes: "minutes",
    Answer: "answer",
    MinutesSummary: "summary",
    WholeMinutes: "whole",
}


def is_transcript(source: object) -> bool:
    """Whether `source` is a transcript, or the path of one, and no audio."""
    if isinstance(source, str | os.PathLike):
        return Path(source).suffix.lower() == ".json"
    return isinstance(source, Transcript | Mapping)


def transcript_to_json(source: Any) -> bytes:
    """TRANSCRIPT: what the minutes are made of, without words.

    Args:
        source: a Transcript, its document, or the path of a JSON file that holds one.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no JSON object with segments.
    """
    if isinstance(source, str | os.PathLike):
        source = parse(Path(source).read_text(encoding="utf-8-sig"))
    document = source.to_dict() if isinstance(source, Transcript) else source
    if not isinstance(document, Mapping) or not isinstance(document.get("segments"), list):
        raise ValueError("the transcript has no list `segments`; give one that `transcribe` made")
    kept = ("start", "end", "text", "speaker")
    segments = [
        {key: one[key] for key in kept if one.get(key) is not None}
        if isinstance(one, Mapping)
        else one
        for one in document["segments"]
    ]
    known = {key: document[key] for key in ("language", "duration_s") if key in document}
    return json.dumps({**known, "segments": segments}, ensure_ascii=False).encode()

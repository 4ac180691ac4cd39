"""Options of a request for minutes, validated in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from onecard import documents
from onecard.errors import InvalidRequest, named, shown
from onecard.llm.config import BackgroundConfig
from onecard.llm.generation import MAX_SEED
from onecard.minutes.form import form
from onecard.minutes.form.form import Form
from onecard.options import fields, languages
from onecard.options.transcribe import TranscribeOptions
from onecard.untrusted import sanitize

MAX_INSTRUCTION_LETTERS = 8000
MAX_QUESTION_LETTERS = 1000
MAX_NAME_LETTERS = 60
MAX_NAMES = 64  # of speakers
MIN_TOKENS = 64  # of an answer: less holds no finding

Template = Literal["meeting", "interview", "call", "lecture", "medical", "custom"]


@dataclass(frozen=True)
class Config(BackgroundConfig):
    """Parameters of config.pbtxt for minutes: how a transcript is read."""

    part_tokens: int  # of transcript in one call, at most
    overlap_tokens: int  # of a part that the one before has as well
    max_tokens: int  # of the answer to one part, where a request says nothing
    takes_audio: bool  # the models of speech are in this server as well


@dataclass(frozen=True)
class MinutesOptions:
    """Options of one request; None is the plan's.

    `stream`: false for the minutes and the summary in one event.
    """

    template: Template = "meeting"
    instructions: str = ""
    question: str | None = None  # in place of minutes: an answer with citations
    schema: dict[str, Any] | None = None  # the caller's own, of a document made of the findings
    language: str | None = None  # of the minutes; None is the recording's
    transcription: dict[str, Any] | None = None  # options of it, where AUDIO came
    speakers: dict[str, Any] | None = None  # their names, by RESULT's labels
    part_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stream: bool = True

    def __post_init__(self) -> None:
        fields.verify_types(self)
        fields.verify_ranges(self, _RANGES)
        _verify_letters("instructions", self.instructions, MAX_INSTRUCTION_LETTERS)
        if self.question is not None:
            _verify_letters("question", self.question, MAX_QUESTION_LETTERS)
            if not sanitize.harmless(self.question):
                raise fields.wrong("question", self.question, "a question in words")
        self._verify_form()
        object.__setattr__(self, "language", languages.code(self.language))
        _verify_speakers(self.speakers or {})

    def _verify_form(self) -> None:
        if self.form is not None and self.question is not None:
            raise InvalidRequest(
                "options `question` and `schema` are both there, and an answer has a form of its "
                "own; leave one of them out"
            )
        if self.template == "custom" and self.form is None and not self.instructions.strip():
            raise InvalidRequest(
                "option `template` is `custom`, which says nothing of what to look for; say it in "
                "`instructions`, or send a `schema`"
            )

    def verify_for_transcript(self) -> None:
        """Refuse what only a recording has a use for."""
        if self.transcription is not None:
            raise InvalidRequest(
                "option `transcription` is for AUDIO, and TRANSCRIPT came; leave it out"
            )

    def pipeline(self) -> TranscribeOptions:
        """Options of the transcription of AUDIO. Raises InvalidRequest, `transcription` named."""
        try:
            return fields.parse(TranscribeOptions, documents.write(self.transcription or {}))
        except InvalidRequest as error:
            raise InvalidRequest(f"option `transcription`: {error}") from error

    @property
    def form(self) -> Form | None:
        """Of `schema`, which is read once. Raises InvalidRequest for one that is not followed."""
        return None if self.schema is None else form.read(self.schema)

    @property
    def names(self) -> dict[str, str]:
        """What each label of a speaker is shown as, harmless and on one line."""
        found = {label: sanitize.line(name) for label, name in (self.speakers or {}).items()}
        return {label: name for label, name in found.items() if name}


_RANGES: dict[str, tuple[float, float]] = {
    "part_tokens": (MIN_TOKENS, 2**20),
    "max_tokens": (MIN_TOKENS, 2**20),
    "temperature": (0.0, 2.0),
    "seed": (0, MAX_SEED),
}


def _verify_letters(name: str, text: str, max_letters: int) -> None:
    if len(text) > max_letters:
        raise InvalidRequest(
            f"option `{name}` has {len(text)} letters, must have at most {max_letters}; shorten it"
        )


def _verify_speakers(speakers: Mapping[str, Any]) -> None:
    if len(speakers) > MAX_NAMES:
        raise InvalidRequest(
            f"option `speakers` has {len(speakers)} names, must have at most {MAX_NAMES}"
        )
    for label, name in speakers.items():
        if not isinstance(name, str) or len(name) > MAX_NAME_LETTERS:
            raise InvalidRequest(
                f"option `speakers` has {shown(name)} for {named(label)}, must be a name of at "
                f'most {MAX_NAME_LETTERS} letters, as in {{"SPEAKER_00": "Anna"}}'
            )

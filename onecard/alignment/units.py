"""The interface of aligners: a segment's samples and text in, a time for each word out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from onecard.audio import Pcm


@dataclass(frozen=True)
class Span:
    """`text[start:end]` of a segment, such as a word; `end` is exclusive."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Utterance:
    """One segment to be timed.

    `pcm` are the samples (16 kHz) from `start_s` to `end_s`, which lie within the audio.
    """

    pcm: Pcm
    start_s: float
    end_s: float
    text: str
    language: str
    words: tuple[Span, ...]


@dataclass(frozen=True)
class Timed:
    """Where a word or character lies in the audio, and how sure the aligner is (0 to 1).

    `is_interpolated` says that no acoustic evidence placed it; its score is 0 then.
    """

    start_s: float
    end_s: float
    score: float
    is_interpolated: bool = False


@dataclass(frozen=True)
class Alignment:
    """One entry for each word of the utterance, None where the word could not be timed.

    `chars` has one entry for each character of the text, where the aligner times characters.
    """

    words: tuple[Timed | None, ...]
    chars: tuple[Timed | None, ...] | None = None


@dataclass(frozen=True)
class Failure:
    """Why an utterance could not be aligned; a caller of the service reads it in `warnings`."""

    reason: str


class Aligner(Protocol):
    """A way to time words."""

    @property
    def name(self) -> str:
        """The aligner's name, as written in the result's `aligner`."""

    def speaks(self, language: str) -> bool:
        """Whether it can time words of this language at all."""

    def align(self, utterances: Sequence[Utterance]) -> list[Alignment | Failure]:
        """One outcome for each utterance, in order; utterances may belong to several requests."""

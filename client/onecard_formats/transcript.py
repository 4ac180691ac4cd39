"""What the formats read of a transcript, whoever has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Word(Protocol):
    """A word; times in seconds, None where it has none."""

    @property
    def word(self) -> str: ...
    @property
    def start(self) -> float | None: ...
    @property
    def end(self) -> float | None: ...


class Segment(Protocol):
    """A sentence; times in seconds."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def speaker(self) -> str | None: ...
    @property
    def language(self) -> str | None: ...
    @property
    def words(self) -> Sequence[Word]: ...


class Turn(Protocol):
    """One speaker talking; times in seconds."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def speaker(self) -> str: ...


class Transcript(Protocol):
    """A transcript; `turns` is None where speakers were not told apart."""

    @property
    def segments(self) -> Sequence[Segment]: ...
    @property
    def words(self) -> Sequence[Word]: ...
    @property
    def turns(self) -> Sequence[Turn] | None: ...
    @property
    def language(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    def to_json(self) -> str: ...

"""Options of a triage request, over the plan's; validated in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from onecard.errors import InvalidRequest
from onecard.llm.config import BackgroundConfig
from onecard.llm.generation import MAX_SEED
from onecard.options import fields as json_options

# In place of a category, where there is no verdict.
NEEDS_REVIEW = "needs_review"

MAX_MAILS_PER_CALL = 64
MAX_NAMES = 64  # categories, or priorities
MAX_INSTRUCTION_LETTERS = 8000
MAX_TOKENS = 2**31 - 1  # that an engine can be told of; the window says what fits
# A name is written into the prompt and into the grammar, so it holds no quotes and no line breaks.
_NAME = re.compile(r"\w[\w &/+.-]{0,39}")


@dataclass(frozen=True)
class Config(BackgroundConfig):
    """Parameters of config.pbtxt for triage: what holds where a request says nothing."""

    categories: str  # with commas between
    priorities: str  # with commas between, the highest first
    instructions: str  # how to judge; empty for the built-in text
    mails_per_call: int  # at most
    max_tokens_per_mail: int  # of output
    confidence_threshold: float  # below it a verdict is marked for review
    drafts: bool  # of replies


@dataclass(frozen=True)
class TriageOptions:
    """Options of one triage request; None is the plan's, and instructions may be empty there.

    `stream`: false for all verdicts and the summary in one event.
    """

    categories: list[str] | None = None
    priorities: list[str] | None = None
    instructions: str | None = None
    mails_per_call: int | None = None
    max_tokens_per_mail: int | None = None
    drafts: bool | None = None
    temperature: float | None = None
    seed: int | None = None
    confidence_threshold: float | None = None
    stream: bool = True

    def __post_init__(self) -> None:
        json_options.verify_types(self)
        json_options.verify_ranges(self, _RANGES)
        for name in ("categories", "priorities"):
            _verify_names(name, getattr(self, name))
        if self.instructions is not None and len(self.instructions) > MAX_INSTRUCTION_LETTERS:
            raise InvalidRequest(
                f"option `instructions` has {len(self.instructions)} letters, must have at most "
                f"{MAX_INSTRUCTION_LETTERS}"
            )


@dataclass(frozen=True)
class Settings:
    """The settings in force for one request."""

    categories: tuple[str, ...]
    priorities: tuple[str, ...]
    instructions: str
    mails_per_call: int
    max_tokens_per_mail: int
    drafts: bool
    temperature: float
    seed: int | None
    confidence_threshold: float
    stream: bool = True


def settings(options: TriageOptions, config: Config) -> Settings:
    """A request's options over the plan's.

    Raises:
        InvalidRequest: the plan has a value of the wrong type or outside its limits.
    """
    planned = TriageOptions(
        categories=_split(config.categories),
        priorities=_split(config.priorities),
        instructions=config.instructions,
        mails_per_call=config.mails_per_call,
        max_tokens_per_mail=config.max_tokens_per_mail,
        drafts=config.drafts,
        temperature=config.temperature,
        confidence_threshold=config.confidence_threshold,
    )
    found: dict[str, Any] = {}
    for field in fields(TriageOptions):
        value = getattr(options, field.name)
        value = getattr(planned, field.name) if value is None else value
        found[field.name] = tuple(value) if isinstance(value, list) else value
    return Settings(**found)


_RANGES: dict[str, tuple[float, float]] = {
    "mails_per_call": (1, MAX_MAILS_PER_CALL),
    "max_tokens_per_mail": (1, MAX_TOKENS),
    "temperature": (0.0, 2.0),
    "seed": (0, MAX_SEED),
    "confidence_threshold": (0.0, 1.0),
}


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _verify_names(option: str, names: Sequence[object] | None) -> None:
    if names is None:
        return
    if not 0 < len(names) <= MAX_NAMES:
        raise InvalidRequest(
            f"option `{option}` has {len(names)} names, must have 1 to {MAX_NAMES}"
        )
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == NEEDS_REVIEW:
            raise json_options.wrong(
                option, name, f"names of letters, digits and ` _&/+.-`, other than `{NEEDS_REVIEW}`"
            )
        if names.count(name) > 1:
            raise InvalidRequest(f"option `{option}` has `{name}` twice; name each once")

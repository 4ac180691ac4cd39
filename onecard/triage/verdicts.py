"""Reads verdicts from what the model wrote, line by line; every one is complete, or refused.

The grammar makes the lines what they should be. They are checked here all the same, because an
engine that ignores a guide does not say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from onecard.triage.mail import Mail
from onecard.triage.options import NEEDS_REVIEW, Settings
from onecard.untrusted import sanitize

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class InvalidVerdict(Exception):
    """A line that is no verdict; says why."""


@dataclass(frozen=True)
class Verdict:
    """onecard/contract/schemas/verdict.schema.json."""

    id: str
    category: str
    priority: str | None
    needs_action: bool | None
    action: str | None
    due: str | None
    summary: str | None
    reply_draft: str | None
    confidence: float | None
    reason: str | None
    needs_review: bool
    review_reason: str | None
    shortened: bool
    call: int | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def undecided(mail: Mail, call: int | None, why: str) -> Verdict:
    """The verdict on an email for which the model gave no valid answer."""
    return Verdict(
        id=mail.id,
        category=NEEDS_REVIEW,
        priority=None,
        needs_action=None,
        action=None,
        due=None,
        summary=None,
        reply_draft=None,
        confidence=None,
        reason=None,
        needs_review=True,
        review_reason=why,
        shortened=mail.shortened,
        call=call,
    )


class Reader:
    """One call's lines to the verdicts on its mails.

    Args:
        max_letters: of each text, by its name.
    """

    def __init__(self, settings: Settings, max_letters: Mapping[str, int], call: int) -> None:
        self._settings = settings
        self._max_letters = max_letters
        self._call = call

    def number(self, line: str, num_mails: int) -> tuple[int, dict[str, Any]]:
        """Which mail of the call a line is about, from 1, and what it says.

        Raises:
            InvalidVerdict: it is not a JSON object about one of them.
        """
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidVerdict(f"the model's answer is not JSON ({error})") from error
        number = document.get("mail") if isinstance(document, dict) else None
        if type(number) is not int or not 1 <= number <= num_mails:
            raise InvalidVerdict(f"the model's answer is about mail `{number!r:.40}`")
        return number, document

    def verdict(self, mail: Mail, document: Mapping[str, Any]) -> Verdict:
        """Raises InvalidVerdict for the first field that is not what it has to be."""
        settings = self._settings
        action = self._text(document, "action", or_null=True)
        confidence = _confidence(document)
        is_doubtful = confidence < settings.confidence_threshold
        return Verdict(
            id=mail.id,
            category=_one_of(document, "category", settings.categories),
            priority=_one_of(document, "priority", settings.priorities),
            needs_action=action is not None,
            action=action,
            due=_day(document) if action is not None else None,
            summary=self._text(document, "summary"),
            reply_draft=self._text(document, "reply_draft", True) if settings.drafts else None,
            confidence=confidence,
            reason=self._text(document, "reason"),
            needs_review=is_doubtful,
            review_reason=(
                f"confidence {confidence} is below {settings.confidence_threshold}"
                if is_doubtful
                else None
            ),
            shortened=mail.shortened,
            call=self._call,
        )

    def _text(self, document: Mapping[str, Any], name: str, or_null: bool = False) -> str | None:
        value = document.get(name)
        if value is None and or_null:
            return None
        if not isinstance(value, str):
            raise _wrong(name, value)
        clean = sanitize.harmless if name == "reply_draft" else sanitize.line
        text = sanitize.clip(clean(value), self._max_letters[name])
        if not text and not or_null:
            raise _wrong(name, value)
        return text or None


def _wrong(name: str, value: object) -> InvalidVerdict:
    return InvalidVerdict(f"the model's `{name}` is `{value!r:.80}`")


def _one_of(document: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = document.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(name, value)
    return value


def _confidence(document: Mapping[str, Any]) -> float:
    value = document.get("confidence")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise _wrong("confidence", value)


def _day(document: Mapping[str, Any]) -> str | None:
    value = document.get("due")
    if value is None:
        return None
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise _wrong("due", value)

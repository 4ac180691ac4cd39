"""Verdicts on emails as they are decided, then an account of the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from onecard_client._answers.documents import encode
from onecard_client._answers.stream import AsyncStream, BlockingStream, Stream


@dataclass(frozen=True)
class Verdict:
    """The verdict on one email: what it is, and what is to be done about it.

    Attributes:
        id: the email's.
        category: one of the categories asked for, or `needs_review` where there is no verdict.
        due: a day, `YYYY-MM-DD`.
        reply_draft: a text that nobody sent.
        confidence: 0 to 1, as the model says of itself.
        needs_review: somebody should look at the email; `review_reason` says why.
        shortened: the email was too long for the model and was judged by its parts.
        call: the number of the model call that decided it, as in `TriageSummary.calls`.
    """

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
    shortened: bool | None
    call: int | None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as parsed JSON, as the server sent it."""
        document: dict[str, Any] = encode(self)
        return document


@dataclass(frozen=True)
class TriageProgress:
    """`done` of `total` emails are decided.

    Attributes:
        waiting_for: `speech` while transcriptions, which come first, use the GPU.
    """

    done: int
    total: int
    waiting_for: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class TriageCall:
    """One call of the language model: the emails in it, tokens in and out, seconds."""

    call: int
    ids: tuple[str, ...]
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class TriageSummary:
    """The account of one request.

    Attributes:
        needs_review: ids of the emails that somebody should look at.
        waited_s: seconds spent waiting for transcriptions, which come first.
        engine: which engine and model decided.
    """

    mails: int
    decided: int
    needs_review: tuple[str, ...]
    calls: tuple[TriageCall, ...]
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    waited_s: float
    engine: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class TriageVerdicts:
    """All verdicts and the account, where the option `stream` is false."""

    verdicts: tuple[Verdict, ...]
    summary: TriageSummary
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


TriageEvent = TriageProgress | Verdict | TriageSummary | TriageVerdicts
OnProgress = Callable[[TriageProgress], object]


class TriageAccount(Stream[Verdict]):
    """The facts about a triage; complete when its iterator has ended.

    Attributes:
        summary: None until the last verdict was given.
        verdicts: those so far.
    """

    summary: TriageSummary | None = None

    def __init__(self, events: Any, on_progress: OnProgress | None = None) -> None:
        super().__init__(events)
        self.verdicts: list[Verdict] = []
        self._on_progress = on_progress

    def _take(self, event: TriageEvent) -> Verdict | None:
        if isinstance(event, TriageVerdicts):
            self.summary = event.summary
            self.verdicts += event.verdicts
            self._waiting.extend(event.verdicts)
            return None
        if isinstance(event, Verdict):
            self.verdicts.append(event)
            return event
        if isinstance(event, TriageSummary):
            self.summary = event
        elif self._on_progress is not None:
            self._on_progress(event)
        return None


class TriageStream(TriageAccount, BlockingStream[Verdict]):
    """Verdicts as they are decided; closing it ends the request."""


class AsyncTriageStream(TriageAccount, AsyncStream[Verdict]):
    """Verdicts as they are decided; closing it ends the request."""

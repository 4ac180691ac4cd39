"""A job: a recording that waits, is transcribed, or was."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard_gateway.speech.formats import SUBTITLES, Form

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
_OVER = (DONE, FAILED)
_TEXTS = ("text", *SUBTITLES)


class JobsError(Exception):
    """The folder of jobs cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """A job as it is stored. Times are seconds since 1970.

    Attributes:
        owner: the hash of the key that it belongs to; empty where nobody needs one.
        attempts: how often it was begun.
        options: the server's.
        form: how the result is told.
        error: OpenAI's error object, without its envelope.
        result: the answer in the format that was asked for.
        webhook: the address that is told of its end.
        notices: how often that was tried.
        noticed_s: when it was taken.
    """

    id: str
    owner: str
    state: str
    attempts: int
    created_s: float
    started_s: float | None
    ended_s: float | None
    options: Mapping[str, Any]
    form: Form
    error: Mapping[str, Any] | None = None
    result: str | None = None
    webhook: str | None = None
    notices: int = 0
    noticed_s: float | None = None

    @property
    def is_over(self) -> bool:
        return self.state in _OVER

    def document(self, keep_s: float, progress: Mapping[str, Any]) -> dict[str, Any]:
        """What its owner reads of it, `progress` by stage; it is kept for `keep_s` from its end."""
        document = {
            "id": self.id,
            "object": "job",
            "state": self.state,
            "created_at": int(self.created_s),
            "started_at": _whole(self.started_s),
            "ended_at": _whole(self.ended_s),
            "expires_at": _whole(None if self.ended_s is None else self.ended_s + keep_s),
            "attempts": self.attempts,
            "response_format": self.form.name,
            "progress": dict(progress),
            "error": self.error,
        }
        if self.webhook is not None:
            document["webhook"] = {
                "url": self.webhook,
                "attempts": self.notices,
                "delivered_at": _whole(self.noticed_s),
            }
        return document if self.result is None else {**document, "result": self._told()}

    def _told(self) -> Any:
        text = self.result or ""
        return text if self.form.name in _TEXTS else json.loads(text)


def made_id() -> str:
    """A new id, which nobody guesses."""
    return f"job_{secrets.token_hex(16)}"


def _whole(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s)

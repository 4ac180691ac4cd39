"""Refusals in HTTP, and what each error of the client is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from onecard_client import (
    AccessDenied,
    BadResponse,
    Cancelled,
    DeadlineExceeded,
    InvalidRequest,
    OnecardError,
    Unavailable,
)

RETRY_AFTER_S = 2
# OpenAI's name for each status; others below 500 are `invalid_request_error`.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES = {503: "unavailable", 504: "timeout"}
# A conversation that does not fit, by its tokens, its letters, or the letters of its JSON.
_OVERFLOW = re.compile(r"context holds \d+ tokens|^MESSAGES has \d+ letters")
_OPTION = re.compile(
    r"(?:OPTIONS has the unknown option `(?P<unknown>\w{1,64})`"
    r"|(?:option )?`(?P<known>\w{1,64})` (?:is|has|must|and)\b)"
)


@dataclass
class Refusal(Exception):
    """A request that is not served: the status, the reason, and what to do.

    Attributes:
        param: the field that is wrong.
        code: OpenAI's, for programs.
        retry_after_s: when to ask again.
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_s: int | None = None

    def __post_init__(self) -> None:
        super().__init__(self.message)

    @property
    def type(self) -> str:
        """OpenAI's name for its kind."""
        if self.status >= 500:
            return "server_error"
        return _TYPES.get(self.status, "invalid_request_error")

    @property
    def headers(self) -> dict[str, str]:
        found = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        # Without Basic, for which browsers would ask people.
        return {**found, "www-authenticate": "Bearer"} if self.status == 401 else found

    def body(self, path: str) -> dict[str, Any]:
        """What a client of the API at `path` reads."""
        if path.startswith("/api/"):  # Ollama's
            return {"error": self.message}
        if path.startswith(("/asr", "/detect-language", "/transcribe")):  # FastAPI's
            return {"detail": self.message}
        return self.openai()

    def openai(self) -> dict[str, Any]:
        """OpenAI's error object."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error}


def refusal(error: OnecardError) -> Refusal:
    """What an error of the client is over HTTP, in its own words."""
    message = str(error)
    if isinstance(error, InvalidRequest):
        return _invalid(message)
    if isinstance(error, AccessDenied):
        return Refusal(403, message)
    if isinstance(error, Unavailable | Cancelled):
        return Refusal(503, message, code=_CODES[503], retry_after_s=RETRY_AFTER_S)
    if isinstance(error, DeadlineExceeded):
        return Refusal(504, message, code=_CODES[504])
    return Refusal(502 if isinstance(error, BadResponse) else 500, message)


def _invalid(message: str) -> Refusal:
    if _OVERFLOW.search(message):
        return Refusal(400, message, "messages", "context_length_exceeded")
    option = _OPTION.match(message)
    return Refusal(400, message, option["unknown"] or option["known"] if option else None)

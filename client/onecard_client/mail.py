"""An email in the form that the server's `triage` takes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onecard_client._errors import InvalidRequest

# Fields that servers before 0.2 refuse.
_NEWER = ("cc", "reply_to", "authentication", "labels", "hidden_text")


@dataclass(frozen=True)
class Email:
    """One email; of `subject` and `body` one has to be there.

    Attributes:
        id: names the email in its verdict; no two of one request may share it.
        date: as ISO 8601 or as the email says it.
        sender: `from` in JSON, which is no name that Python allows.
        authentication: what the receiving server says of the sender (Authentication-Results).
        labels: the folders or labels that the mailbox gives it, with commas between.
        hidden_text: `body` lacks text that the email has and no reader sees.
    """

    id: str
    subject: str = ""
    body: str = ""
    sender: str = ""
    to: str = ""
    date: str = ""
    cc: str = ""
    reply_to: str = ""
    authentication: str = ""
    labels: str = ""
    hidden_text: bool = False

    def to_dict(self) -> dict[str, Any]:
        """An element of EMAILS; what older servers do not know is left out where it is empty."""
        document: dict[str, Any] = dataclasses.asdict(self)
        document["from"] = document.pop("sender")
        for name in _NEWER:
            if not document[name]:
                del document[name]
        return document


def emails_to_json(emails: Iterable[Email | Mapping[str, Any]]) -> bytes:
    """EMAILS. The server judges the content of emails; here they only have to be JSON.

    Raises:
        InvalidRequest: it is not.
        TypeError: not a list of emails or objects.
    """
    if isinstance(emails, str | bytes | Mapping):
        raise TypeError(
            f"the emails are of type `{type(emails).__name__}`, must be a list of `Email` or of "
            "objects; put a single one into a list"
        )
    found = [_document(email) for email in emails]
    try:
        return json.dumps(found, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"the emails are not something that JSON has ({error}); give texts"
        ) from error


def _document(email: Email | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(email, Email):
        return email.to_dict()
    if isinstance(email, Mapping):
        return dict(email)
    raise TypeError(
        f"an email is of type `{type(email).__name__}`, must be an `Email` or an object; "
        "`Email(id=..., subject=..., body=...)` makes one"
    )

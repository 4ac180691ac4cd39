"""An email as the server's `triage` takes it.

It knows the fields and their names in JSON; it does not know files or MIME.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onecard_client._errors import InvalidRequest


@dataclass(frozen=True)
class Email:
    """One email; of `subject` and `body` one has to be there.

    Attributes:
        id: names the email in its verdict; no two of one request may share it.
        date: as ISO 8601 or as the email says it.
        sender: `from` in JSON, which is no name that Python allows.
    """

    id: str
    subject: str = ""
    body: str = ""
    sender: str = ""
    to: str = ""
    date: str = ""

    def to_dict(self) -> dict[str, str]:
        """An element of EMAILS."""
        document: dict[str, str] = dataclasses.asdict(self)
        document["from"] = document.pop("sender")
        return document


def emails_to_json(emails: Iterable[Email | Mapping[str, Any]]) -> bytes:
    """EMAILS. What stands in an email is the server's to judge; here it only has to be JSON.

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

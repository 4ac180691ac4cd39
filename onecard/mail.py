"""EMAILS: what a caller sends to be judged, checked field by field.

It knows the JSON form and what makes a mail's text safe to show; it knows no model and no tokens.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard import mail_text
from onecard.errors import InvalidRequest

MAX_MAILS = 1000  # of one request
MAX_ID_LETTERS = 998  # the longest line that a mail may have, and so its Message-ID
MAX_HEADER_LETTERS = 240  # of one; the rest of a long list of recipients tells nothing more

FIELDS = ("id", "from", "to", "date", "subject", "body")
HEADERS = ("from", "to", "date", "subject")


@dataclass(frozen=True)
class Mail:
    """One mail; its texts are harmless to show (`onecard.mail_text`).

    Attributes:
        id: the caller's, which no model ever sees.
        headers: those that were given, each one line.
        shortened: something of it was left out.
    """

    id: str
    headers: Mapping[str, str]
    body: str
    shortened: bool = False


def parse(text: str) -> list[Mail]:
    """The mails of a request, in order.

    Raises:
        InvalidRequest: not a JSON list of mails; the first wrong index and field are named.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"EMAILS is not JSON ({error}); send a JSON list of mails") from error
    if not isinstance(found, list):
        raise InvalidRequest(
            f"EMAILS is a JSON {type(found).__name__}, must be a list; put a single mail into one"
        )
    if len(found) > MAX_MAILS:
        raise InvalidRequest(
            f"EMAILS has {len(found)} mails, must have at most {MAX_MAILS}; send several requests"
        )
    for index, fields in enumerate(found):
        _verify(f"EMAILS[{index}]", fields)
    _verify_distinct([fields["id"] for fields in found])
    return [_mail(fields) for fields in found]


def _verify(where: str, fields: Any) -> None:
    if not isinstance(fields, dict):
        raise InvalidRequest(
            f"{where} is `{fields!r:.80}`, must be an object with the fields {', '.join(FIELDS)}"
        )
    for name, value in fields.items():
        if name not in FIELDS:
            raise InvalidRequest(
                f"{where} has the unknown field `{name:.80}`; known are: {', '.join(FIELDS)}"
            )
        if not isinstance(value, str) and (value is not None or name == "id"):
            raise InvalidRequest(f"{where} has the `{name}` `{value!r:.80}`, must be a text")
    _verify_id(where, fields.get("id"))
    if fields.get("subject") is None and fields.get("body") is None:
        raise InvalidRequest(f"{where} has neither `subject` nor `body`; send one or both")


def _verify_id(where: str, found: str | None) -> None:
    if found is None:
        raise InvalidRequest(f"{where} has no `id`; give it one, by which its verdict is known")
    if not 0 < len(found) <= MAX_ID_LETTERS:
        raise InvalidRequest(
            f"{where} has an `id` of {len(found)} letters, must have 1 to {MAX_ID_LETTERS}"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in found):
        raise InvalidRequest(f"{where} has the `id` `{found!r:.80}`, must be valid Unicode")


def _verify_distinct(ids: list[str]) -> None:
    for mail_id, count in Counter(ids).items():
        if count > 1:
            first = ids.index(mail_id)
            second = ids.index(mail_id, first + 1)
            raise InvalidRequest(
                f"EMAILS[{second}] has the `id` `{mail_id:.80}`, which EMAILS[{first}] has too; "
                "no two mails of a request may share one"
            )


def _mail(fields: Mapping[str, str | None]) -> Mail:
    lines = {name: mail_text.line(fields.get(name) or "") for name in HEADERS}
    return Mail(
        id=fields["id"] or "",
        headers={
            name: mail_text.clip(line, MAX_HEADER_LETTERS) for name, line in lines.items() if line
        },
        body=mail_text.harmless(fields.get("body") or ""),
        shortened=any(len(line) > MAX_HEADER_LETTERS for line in lines.values()),
    )

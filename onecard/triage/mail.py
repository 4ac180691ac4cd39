"""EMAILS: what a caller sends to be judged, checked field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onecard import documents
from onecard.errors import InvalidRequest, named, shown
from onecard.triage.shortening import NO_GAP, Gap
from onecard.untrusted import sanitize

MAX_MAILS = 1000  # of one request
MAX_ID_LETTERS = 998  # the longest line that a mail may have, and so its Message-ID
MAX_HEADER_LETTERS = 240  # of one; the rest of a long list of recipients tells nothing more
MAX_READ_HEADER_LETTERS = 4000  # of which these are made, blanks and what is hidden included
MAX_LETTERS = 2**26  # of EMAILS

# One line each, in the order in which the model sees them.
HEADERS = ("from", "reply_to", "to", "cc", "date", "subject", "authentication", "labels")
FIELDS = ("id", *HEADERS, "body", "hidden_text")
MAY_BE_LISTS = ("from", "reply_to", "to", "cc", "labels")  # of texts
_WANTED = 'a list of mails, as in `[{"id": "1", "subject": "Hello", "body": "..."}]`'


@dataclass(frozen=True)
class Mail:
    """One mail; its texts are harmless to show (`onecard.untrusted.sanitize`).

    Attributes:
        id: the caller's, which no model ever sees.
        headers: those that were given, each one line, by the names of HEADERS.
        shortened: something of it was left out.
        gap: where the middle of a very long body was left out.
        hidden_text: the sender hid text, which is not in `body`.
    """

    id: str
    headers: Mapping[str, str]
    body: str
    shortened: bool = False
    hidden_text: bool = False
    gap: Gap = NO_GAP


def parse(
    text: str, max_body_letters: int = MAX_LETTERS, check: Callable[[], None] = lambda: None
) -> list[Mail]:
    """The mails of a request, in order: a list, a list under the name `emails`, or a single mail.

    Args:
        max_body_letters: of a longer body the middle is left out, and not even looked at.
        check: raises where nobody waits for the answer any more; called now and then.

    Raises:
        InvalidRequest: it is none of these; the first wrong index and field are named.
    """
    found = _listed(  # ids come back as they went in
        documents.read("EMAILS", text, _WANTED, mended=False, max_letters=MAX_LETTERS)
    )
    if len(found) > MAX_MAILS:
        raise InvalidRequest(
            f"EMAILS has {len(found)} mails, must have at most {MAX_MAILS}; send several requests"
        )
    for index, fields in enumerate(found):
        _verify(f"EMAILS[{index}]", fields)
    _verify_distinct([fields["id"] for fields in found])
    mails = []
    for fields in found:
        check()
        mails.append(_mail(fields, max_body_letters))
    return mails


def _listed(document: Any) -> list[Any]:
    if isinstance(document, dict):
        document = document["emails"] if set(document) == {"emails"} else [document]
    if not isinstance(document, list):
        raise InvalidRequest(
            f"EMAILS is {documents.kind(document)}, must be a list; send {_WANTED}"
        )
    return document


def _verify(where: str, fields: Any) -> None:
    if not isinstance(fields, dict):
        raise InvalidRequest(
            f"{where} is {shown(fields)}, must be an object with the fields {', '.join(FIELDS)}"
        )
    for name, value in fields.items():
        if name not in FIELDS:
            raise InvalidRequest(
                f"{where} has the unknown field {named(name)}; known are: {', '.join(FIELDS)}"
            )
        _verify_type(where, name, value)
    _verify_id(where, fields.get("id"))
    if fields.get("subject") is None and fields.get("body") is None:
        raise InvalidRequest(f"{where} has neither `subject` nor `body`; send one or both")


def _verify_type(where: str, name: str, value: Any) -> None:
    wanted = "a text"
    if name == "hidden_text":
        wanted, fits = "true or false", isinstance(value, bool)
    elif name in MAY_BE_LISTS and isinstance(value, list):
        wanted = "a text or a list of texts"
        fits = all(isinstance(item, str) for item in value)
    else:
        fits = isinstance(value, str)
    if not fits and (value is not None or name == "id"):
        raise InvalidRequest(f"{where} has the `{name}` {shown(value)}, must be {wanted}")


def _verify_id(where: str, mail_id: str | None) -> None:
    if mail_id is None:
        raise InvalidRequest(f"{where} has no `id`; give it one, by which its verdict is known")
    if not 0 < len(mail_id) <= MAX_ID_LETTERS:
        raise InvalidRequest(
            f"{where} has an `id` of {len(mail_id)} letters, must have 1 to {MAX_ID_LETTERS}"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in mail_id):
        raise InvalidRequest(f"{where} has the `id` {shown(mail_id)}, must be valid Unicode")


def _verify_distinct(ids: list[str]) -> None:
    for mail_id, count in Counter(ids).items():
        if count > 1:
            first = ids.index(mail_id)
            second = ids.index(mail_id, first + 1)
            raise InvalidRequest(
                f"EMAILS[{second}] has the `id` {named(mail_id)}, which EMAILS[{first}] has too; "
                "no two mails of a request may share one"
            )


def _mail(fields: Mapping[str, Any], max_body_letters: int) -> Mail:
    given = {name: _joined(fields.get(name)) for name in HEADERS}
    lines = {name: sanitize.line(value[:MAX_READ_HEADER_LETTERS]) for name, value in given.items()}
    body, gap = _body(fields.get("body") or "", max_body_letters)
    return Mail(
        id=fields["id"],
        headers={
            name: sanitize.clip(line, MAX_HEADER_LETTERS) for name, line in lines.items() if line
        },
        body=body,
        shortened=any(len(line) > MAX_HEADER_LETTERS for line in lines.values())
        or any(len(value) > MAX_READ_HEADER_LETTERS for value in given.values()),
        hidden_text=bool(fields.get("hidden_text")),
        gap=gap,
    )


def _body(text: str, max_letters: int) -> tuple[str, Gap]:
    """The text, or its two ends and what is missing between them."""
    if len(text) <= max_letters:
        return sanitize.harmless(text), NO_GAP
    half = max_letters // 2
    head, tail = (sanitize.harmless(end) for end in (text[:half], text[len(text) - half :]))
    return head + tail, Gap(len(head), len(text) - 2 * half)


def _joined(value: str | list[str] | None) -> str:
    return ", ".join(value) if isinstance(value, list) else value or ""

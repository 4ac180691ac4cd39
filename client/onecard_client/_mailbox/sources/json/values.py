"""The values of an email in JSON: addresses, texts, dates and labels, in every usual shape."""

from __future__ import annotations

import html
import re
from datetime import datetime, timezone
from typing import Any

from onecard_client._mailbox.mime import NotAMail, sound

MAX_DEPTH = 5
# Later than 2001, as seconds and as milliseconds; smaller numbers are no dates.
_MIN_EPOCH_S = 1_000_000_000
_MIN_EPOCH_MS = 1_000_000_000_000

_ADDRESS_KEYS = ("address", "email", "mail", "emailaddress", "addr", "smtpaddress")
_NAME_KEYS = ("name", "displayname", "personal", "label", "realname")
_TEXT_KEYS = ("value", "text", "content", "name", "displayname", "title")
_DIGITS = re.compile(r"\d{10,16}\Z")


def plain_key(key: str) -> str:
    """`Reply-To`, `reply_to` and `replyTo` are one."""
    return re.sub(r"[^a-z0-9$@]", "", key.lower())


def plain_keys(document: dict[str, Any]) -> dict[str, Any]:
    """An object by its plain keys, the first of each that has a value."""
    plain: dict[str, Any] = {}
    for key, value in document.items():
        if plain.get(plain_key(key)) in (None, ""):
            plain[plain_key(key)] = value
    return plain


def text_of(value: Any, field: str, depth: int = 0) -> str:
    """One text of a text, a number, a list of them, or an object that holds one.

    Raises:
        NotAMail: an object in which no text is known.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return sound(str(value))
    if isinstance(value, list) and depth < MAX_DEPTH:
        texts = (text_of(each, field, depth + 1) for each in value)
        return ", ".join(text for text in texts if text)
    if isinstance(value, dict) and depth < MAX_DEPTH:
        if len(value) == 1 and next(iter(value)).startswith("$"):  # MongoDB's {"$date": ...}
            return text_of(next(iter(value.values())), field, depth + 1)
        plain = plain_keys(value)
        for key in _TEXT_KEYS:
            if isinstance(plain.get(key), str | int):
                return sound(str(plain[key]))
    raise NotAMail(refused(field, value, "a text"))


def refused(field: str, value: Any, wanted: str) -> str:
    """Why a value is not understood; its keys tell the shape, its content does not."""
    if isinstance(value, dict):
        keys = ", ".join(f"`{sound(str(key))[:40]}`" for key in list(value)[:6])
        return f"has a `{field}` that is an object ({keys or 'empty'}), must be {wanted}"
    return f"has a `{field}` that is nested too deeply, must be {wanted}"


def addresses_of(value: Any, field: str, depth: int = 0) -> str:
    """`Ann <a@b.c>, d@e.f`, of texts and of the objects of mail APIs.

    Raises:
        NotAMail: an object without a name or an address.
    """
    if isinstance(value, list) and depth < MAX_DEPTH:
        texts = (addresses_of(each, field, depth + 1) for each in value)
        return ", ".join(text for text in texts if text)
    if not isinstance(value, dict):
        return text_of(value, field, depth)
    if depth >= MAX_DEPTH:
        raise NotAMail(refused(field, value, "an address"))
    plain = plain_keys(value)
    for key in ("emailaddress", "value", "group", "mailboxes", "addresses"):
        if isinstance(plain.get(key), list | dict) and plain[key]:
            return addresses_of(plain[key], field, depth + 1)
    address = _first_text(plain, _ADDRESS_KEYS) or _mailbox(plain)
    name = _first_text(plain, _NAME_KEYS)
    if address or name:
        is_both = address and name and name != address
        return f"{name} <{address}>" if is_both else address or name
    if _first_text(plain, ("text", "value")):
        return _first_text(plain, ("text", "value"))
    if value and all("@" in str(key) for key in value):  # {address: name}
        return ", ".join(f"{sound(str(name or ''))} <{sound(key)}>" for key, name in value.items())
    if not any(value.values()):
        return ""
    raise NotAMail(refused(field, value, "a text, or an object with `name` and `address`"))


def _first_text(plain: dict[str, Any], keys: tuple[str, ...]) -> str:
    texts = (plain[key] for key in keys if isinstance(plain.get(key), str))
    return next((sound(text).strip() for text in texts if text.strip()), "")


def _mailbox(plain: dict[str, Any]) -> str:
    """An IMAP envelope's address."""
    mailbox, host = _first_text(plain, ("mailbox",)), _first_text(plain, ("host",))
    return f"{mailbox}@{host}" if mailbox and host else mailbox


def date_of(value: Any) -> str:
    """A date as it says it; seconds and milliseconds since 1970 as ISO 8601."""
    text = text_of(value, "date")
    if not _DIGITS.match(text) or int(text) < _MIN_EPOCH_S:
        return text
    seconds = int(text) / (1000 if int(text) >= _MIN_EPOCH_MS else 1)
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    except (ValueError, OverflowError, OSError):
        return text


def labels_of(value: Any) -> str:
    """Names with commas between; of JMAP's keywords those that are set."""
    if isinstance(value, dict) and all(isinstance(each, bool) for each in value.values()):
        return text_of([key for key, is_set in value.items() if is_set], "labels")
    return text_of(value, "labels")


def unescaped(text: str) -> str:
    """Gmail's `snippet` has its characters as in HTML."""
    return sound(html.unescape(text))

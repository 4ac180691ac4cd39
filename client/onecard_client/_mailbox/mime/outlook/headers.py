"""Headers made of Outlook's properties, for emails without headers, such as sent ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.utils import format_datetime
from typing import NamedTuple

from onecard_client._mailbox.mime.outlook.mapi import Properties

MAX_FIELD_CHARACTERS = 60_000

# Numbers of properties (MS-OXPROPS).
_SENT, _DELIVERED, _CREATED, _MESSAGE_ID, _SUBJECT = 0x0039, 0x0E06, 0x3007, 0x1035, 0x0037
_DISPLAY_TO, _DISPLAY_CC, _DISPLAY_BCC = 0x0E04, 0x0E03, 0x0E02
_AUTHOR_NAME, _AUTHOR_ADDRESS, _AUTHOR_SMTP = 0x0042, 0x0065, 0x5D02
_SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_REPLY_NAMES, _REPLY_ENTRIES = 0x0050, 0x004F

# Of an address book's one-off entry (MS-OXCDATA, section 2.2.5.1).
_ENTRY_ADDRESS = re.compile(rb"S\0M\0T\0P\0\0\0((?:[!-~]\0){3,320})\0\0|SMTP\0([!-~]{3,320})\0")


class Person(NamedTuple):
    """Prints as a header has it; the address may be Exchange's `/O=...`."""

    name: str
    address: str

    def __str__(self) -> str:
        name = " ".join(self.name.split())
        if not self.address or name == self.address:
            return self.address or name
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{quoted if name else ''} <{self.address}>".strip()


def headers_of_properties(
    properties: Properties, recipients: list[tuple[int, Person]]
) -> Iterator[tuple[str, str]]:
    """Names and values, some of them empty.

    Args:
        recipients: 1 for To, 2 for Cc, 3 for Bcc, and who.
    """
    author, sender = author_of_properties(properties), _sender(properties)
    yield "From", str(author)
    yield "Sender", str(sender) if sender.address.lower() != author.address.lower() else ""
    displayed = ((1, "To", _DISPLAY_TO), (2, "Cc", _DISPLAY_CC), (3, "Bcc", _DISPLAY_BCC))
    for kind, name, number in displayed:
        named = ", ".join(str(person) for its_kind, person in recipients if its_kind == kind)
        yield name, named or properties.text(number)
    yield "Reply-To", _reply_to(properties)
    yield "Subject", properties.text(_SUBJECT)
    moments = map(properties.time, (_SENT, _DELIVERED, _CREATED))
    moment = next(filter(None, moments), None)
    yield "Date", format_datetime(moment) if moment else ""
    yield "Message-ID", properties.text(_MESSAGE_ID)


def author_of_properties(properties: Properties) -> Person:
    """Whom Outlook shows: on whose behalf it was sent, which as a rule is the sender."""
    address = properties.text(_AUTHOR_SMTP) or properties.text(_AUTHOR_ADDRESS)
    author = Person(properties.text(_AUTHOR_NAME), address)
    sender = _sender(properties)
    if "@" not in author.address and author.name == sender.name and "@" in sender.address:
        return sender
    return author if author.name or author.address else sender


def _sender(properties: Properties) -> Person:
    # The SMTP address first: the other one is Exchange's `/O=...` for colleagues.
    address = properties.text(_SENDER_SMTP) or properties.text(_SENDER_ADDRESS)
    return Person(properties.text(_SENDER_NAME), address)


def _reply_to(properties: Properties) -> str:
    names = properties.text(_REPLY_NAMES)
    found = _ENTRY_ADDRESS.findall(properties.data(_REPLY_ENTRIES)[:MAX_FIELD_CHARACTERS])
    addresses = [(wide.replace(b"\0", b"") or narrow).decode("ascii") for wide, narrow in found]
    if len(addresses) == 1:
        return str(Person(names, addresses[0]))
    return ", ".join(addresses) or names


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """The headers that have a value, each in one line of UTF-8."""
    lines = (f"{name}: {' '.join(value.split())}" for name, value in headers if value.strip())
    return b"".join(line[:MAX_FIELD_CHARACTERS].encode() + b"\r\n" for line in lines)

"""Converts Outlook's .msg into MIME, with the same headers, texts and files.

Its invitations, links, hidden text and attached emails are then read like those of any email.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from onecard_client._mailbox.mime.bounds import MAX_MAIL_BYTES, NotAMail
from onecard_client._mailbox.mime.outlook.compound import Storage, read_compound
from onecard_client._mailbox.mime.outlook.headers import (
    Person,
    author_of_properties,
    header_lines,
    headers_of_properties,
)
from onecard_client._mailbox.mime.outlook.mapi import (
    EMBEDDED_HEADER,
    OTHER_HEADER,
    ROOT_HEADER,
    Properties,
    properties_of_storage,
)
from onecard_client._mailbox.mime.outlook.parts import (
    calendar_parts,
    file_part,
    multipart,
    text_parts,
)

MAX_RECIPIENTS = 500
MAX_ATTACHMENTS = 500
MAX_DEPTH = 4  # of mails within mails
MAX_HEADERS_CHARACTERS = 200_000

_PROPERTIES = "__properties_version1.0"
_EMBEDDED = "__substg1.0_3701000d"
# What other OLE files have in their root, in small letters.
_OTHERS = {
    "worddocument": "a Word document", "workbook": "an Excel workbook", "book": "an Excel workbook",
    "powerpoint document": "a PowerPoint presentation", "visiodocument": "a Visio drawing",
}  # fmt: skip
_HEADERS = 0x007D
# Of a recipient.
_NAME, _SMTP, _ADDRESS, _KIND = 0x3001, 0x39FE, 0x3003, 0x0C15

_HEADER = re.compile(r"([!-9;-~]+)[ \t]*:")
_NOT_OF_THE_WHOLE = re.compile(r"content-|mime-version$", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_TO_DO = "save it again in Outlook, as .msg or .eml"


def mime_of_msg(content: bytes) -> bytes:
    """The mail in MIME, headers and texts in UTF-8.

    Raises:
        NotAMail: it is damaged, or another kind of OLE file.
    """
    try:
        root = read_compound(content[:MAX_MAIL_BYTES])
    except ValueError as error:
        raise NotAMail(
            f"is an Outlook file (.msg) that cannot be read ({error}), must be whole; {_TO_DO}"
        ) from error
    if _PROPERTIES not in root.streams:
        what = next((what for name, what in _OTHERS.items() if name in root.streams), "")
        raise NotAMail(
            f"is {what or 'an OLE file of no known kind'}, must be an Outlook .msg or a mail in "
            "MIME; take a mail out of Outlook by `Save as`, .msg or .eml"
        )
    return _mail(root, ROOT_HEADER, root, 0)


def _mail(storage: Storage, header_size: int, root: Storage, depth: int) -> bytes:
    properties = properties_of_storage(
        storage, header_size, properties_of_storage(root, ROOT_HEADER).codepage
    )
    calendar = calendar_parts(
        properties, _named_numbers(root), author_of_properties(properties).address
    )
    files = _files(storage, properties.codepage, root, depth)
    parts = [*text_parts(properties), *calendar, *files]
    return _headers(storage, properties) + multipart("mixed", parts)


def _headers(storage: Storage, properties: Properties) -> bytes:
    """The headers that came with the email, then those that it lacks."""
    headers = list(_transport_headers(properties.text(_HEADERS)))
    present = {header.partition(":")[0].strip().lower() for header in headers}
    recipients = list(_recipients(storage, properties.codepage))
    own = headers_of_properties(properties, recipients)
    lacking = header_lines((name, value) for name, value in own if name.lower() not in present)
    found = "".join(f"{header}\r\n" for header in headers).encode() + lacking
    return found or b"Subject: \r\n"  # of an empty draft


def _transport_headers(text: str) -> Iterator[str]:
    """The first block of them, whole lines; Exchange puts a line without a colon before it."""
    header = ""
    for line in _LINE_END.split(text[:MAX_HEADERS_CHARACTERS]):
        if not line.strip() and header:
            break
        if line[:1] in (" ", "\t"):
            header += f"\r\n{line}" if header and line.strip() else ""
            continue
        if header:
            yield header
        match = _HEADER.match(line)
        header = line if match and not _NOT_OF_THE_WHOLE.match(match[1]) else ""
    if header:
        yield header


def _recipients(storage: Storage, codepage: int) -> Iterator[tuple[int, Person]]:
    """1 for To, 2 for Cc, 3 for Bcc; the sender, which drafts name as 0, is left out by that."""
    for inner in _numbered(storage, "__recip_version1.0_")[:MAX_RECIPIENTS]:
        properties = properties_of_storage(inner, OTHER_HEADER, codepage)
        address = properties.text(_SMTP) or properties.text(_ADDRESS)
        yield properties.number(_KIND) & 0xF, Person(properties.text(_NAME), address)


def _numbered(storage: Storage, prefix: str) -> list[Storage]:
    return [storage.storages[name] for name in sorted(storage.storages) if name.startswith(prefix)]


def _files(storage: Storage, codepage: int, root: Storage, depth: int) -> Iterator[bytes]:
    for inner in _numbered(storage, "__attach_version1.0_")[:MAX_ATTACHMENTS]:
        embedded = inner.storages.get(_EMBEDDED)
        if embedded and _PROPERTIES in embedded.streams and depth < MAX_DEPTH:
            mail = _mail(embedded, EMBEDDED_HEADER, root, depth + 1)
            yield b"Content-Type: message/rfc822\r\n\r\n" + mail
        else:
            yield file_part(properties_of_storage(inner, OTHER_HEADER, codepage))


def _named_numbers(root: Storage) -> dict[int, int]:
    """The numbers that this file has for properties that have names (MS-OXMSG, section 2.2.3)."""
    names = root.storages.get("__nameid_version1.0")
    entries = names.streams.get("__substg1.0_00030102", b"") if names else b""
    whole = entries[: len(entries) // 8 * 8]
    return {
        name: 0x8000 + index
        for name, kind, index in struct.iter_unpack("<IHH", whole)
        if not kind & 1  # a number, and no text
    }

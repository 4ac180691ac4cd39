"""winmail.dat, the form that Exchange and Outlook give to emails in rich text (MS-OXTNEF).

This is own code because `tnefparse` has three faults. It counts to the number of properties that a
file claims, up to four billion; it copies the rest of the file for each piece; and one unknown
property makes it lose all of them.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import NamedTuple

from onecard_client._mailbox.mime.bounds import MAX_MAIL_BYTES
from onecard_client._mailbox.mime.outlook.headers import (
    author_of_properties,
    header_lines,
    headers_of_properties,
)
from onecard_client._mailbox.mime.outlook.mapi import (
    MAX_PROPERTIES,
    Properties,
    filetime_of_time,
)
from onecard_client._mailbox.mime.outlook.parts import (
    calendar_parts,
    file_part,
    multipart,
    part,
    text_parts,
)

MAX_ATTACHMENTS = 500
MAX_PIECES = 20_000
MAX_DEPTH = 4

_SIGNATURE = struct.pack("<I", 0x223E9F78)
_EMBEDDED = bytes.fromhex("0703020000000000c000000000000046")  # IID_IMessage
# Pieces, by the lower half of their number (MS-OXTNEF, section 2.1.3.3).
_START, _END, _FROM, _SUBJECT, _CLASS, _BODY = 0x0006, 0x0007, 0x8000, 0x8004, 0x8008, 0x800C
_FILE_DATA, _FILE_TITLE, _FILE_BEGINS, _PROPERTIES, _FILE_PROPERTIES, _CODEPAGE = (
    0x800F, 0x8010, 0x9002, 0x9003, 0x9005, 0x9007,
)  # fmt: skip
# What pieces of old stand for among the properties of today.
_AS_PROPERTIES = {
    _SUBJECT: 0x0037001E, _CLASS: 0x001A001E, _BODY: 0x1000001E,
    _FILE_DATA: 0x37010102, _FILE_TITLE: 0x3704001E,
}  # fmt: skip
_AS_TIMES = {_START: 0x00600040, _END: 0x00610040}
# Sizes of properties, padded to four bytes; those of the others are said.
_SIZES = {
    0x0001: 0, 0x0002: 4, 0x0003: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x000A: 4,
    0x000B: 4, 0x0014: 8, 0x0040: 8, 0x0048: 16,
}  # fmt: skip
_SAID = (0x000D, 0x001E, 0x001F, 0x0102)
_SEVERAL = 0x1000
_SHORT_TYPES = (0x0002, 0x000B)
_FILE_OBJECT, _FILE_CONTENT = 0x3701000D, 0x37010102
_FIRST_NAMED = 0x8000


@dataclass
class _Bag:
    """The properties of the message, or of one file."""

    fixed: dict[int, bytes] = field(default_factory=dict)
    others: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, int] = field(default_factory=dict)  # numbers here of those that have names


class _Entity(NamedTuple):
    properties: Properties
    mime: bytes


class _Piece(NamedTuple):
    number: int
    content: bytes


def mime_of_tnef(content: bytes) -> bytes:
    """A MIME entity of texts, invitation and files; never raises.

    Args:
        content: of the application/ms-tnef part, or of a file called winmail.dat.
    """
    return _entity(content, 0).mime


def _entity(content: bytes, depth: int) -> _Entity:
    if not content.startswith(_SIGNATURE):
        return _Entity(Properties({}, {}), _told("it does not begin as TNEF"))
    message, files, codepage, is_whole = _read(content[:MAX_MAIL_BYTES])
    properties = Properties(message.fixed, message.others, codepage)
    sender = author_of_properties(properties).address
    parts = [*text_parts(properties), *calendar_parts(properties, message.names, sender)]
    parts += [_file(bag, properties.codepage, depth) for bag in files]
    if not is_whole:
        parts.append(_told("it is damaged or cut off"))
    return _Entity(properties, multipart("mixed", parts))


def _file(bag: _Bag, codepage: int, depth: int) -> bytes:
    embedded = bag.others.get(_FILE_OBJECT, b"")
    if not embedded.startswith(_EMBEDDED) or depth >= MAX_DEPTH:
        if embedded:
            bag.others.setdefault(_FILE_CONTENT, embedded[len(_EMBEDDED) :])
        return file_part(Properties(bag.fixed, bag.others, codepage))
    inner = _entity(embedded[len(_EMBEDDED) :], depth + 1)
    headers = header_lines(headers_of_properties(inner.properties, []))
    return b"Content-Type: message/rfc822\r\n\r\n" + headers + inner.mime


def _told(reason: str) -> bytes:
    text = f"[Outlook's winmail.dat cannot be read to its end: {reason}]"
    return part("text/plain; charset=utf-8", text.encode())


def _read(content: bytes) -> tuple[_Bag, list[_Bag], int, bool]:
    message = _Bag()
    files: list[_Bag] = []
    codepage = 0
    position, num_pieces = 6, 0
    while position + 11 <= len(content) and num_pieces < MAX_PIECES:
        level, tag, size = struct.unpack_from("<BII", content, position)
        piece = _Piece(tag & 0xFFFF, content[position + 9 : position + 9 + size])
        position += 9 + size + 2  # of a checksum
        num_pieces += 1
        if piece.number == _FILE_BEGINS or (level == 2 and not files):
            files.append(_Bag())
        if piece.number == _CODEPAGE:
            codepage = int.from_bytes(piece.content[:4], "little")
        _add_piece(files[-1] if level == 2 else message, piece)
    return message, files[:MAX_ATTACHMENTS], codepage, position == len(content)


def _add_piece(bag: _Bag, piece: _Piece) -> None:
    if piece.number in (_PROPERTIES, _FILE_PROPERTIES):
        with suppress(struct.error):  # cut off
            _add_properties(bag, piece.content)
    elif piece.number in _AS_PROPERTIES:
        # those in the properties are in Unicode, or whole
        bag.others.setdefault(_AS_PROPERTIES[piece.number], piece.content)
    elif piece.number in _AS_TIMES and len(piece.content) >= 12:
        try:
            moment = datetime(*struct.unpack_from("<6H", piece.content)).replace(
                tzinfo=timezone.utc
            )
        except ValueError:
            return
        bag.fixed.setdefault(_AS_TIMES[piece.number], filetime_of_time(moment))


def _add_properties(bag: _Bag, content: bytes) -> None:
    """Up to the first that cannot be read, for where the next begins is not known then.

    Raises:
        struct.error: they are cut off.
    """
    (num_properties,) = struct.unpack_from("<I", content)
    position = 4
    for _ in range(min(num_properties, MAX_PROPERTIES)):
        kind, number = struct.unpack_from("<HH", content, position)
        position += 4
        if number >= _FIRST_NAMED:
            name, position = _name(content, position)
            bag.names[name] = number
        is_several, kind = bool(kind & _SEVERAL), kind & ~_SEVERAL
        if kind in _SAID:
            value, position = _said_value(content, position)
            bag.others[number << 16 | kind] = value
        elif kind in _SIZES:
            value, position = _fixed_value(content, position, kind, is_several)
            bag.fixed[number << 16 | kind] = value
        else:
            return


def _name(content: bytes, position: int) -> tuple[int, int]:
    """The number that is the property's name, 0 for one with a name of letters; and the end."""
    has_letters, value = struct.unpack_from("<16xII", content, position)
    if has_letters:
        return 0, position + 24 + _padded(value)
    return value, position + 24


def _said_value(content: bytes, position: int) -> tuple[bytes, int]:
    """The first of several values, each behind its size; and the end of the last."""
    (num_values,) = struct.unpack_from("<I", content, position)
    position += 4
    first: bytes | None = None
    for _ in range(num_values):  # each takes four bytes, so the content ends it
        (size,) = struct.unpack_from("<I", content, position)
        if first is None:
            first = content[position + 4 : position + 4 + size]
        position += 4 + _padded(size)
    return first or b"", position


def _fixed_value(content: bytes, position: int, kind: int, is_several: bool) -> tuple[bytes, int]:
    size = _SIZES[kind]
    if not is_several:
        return content[position : position + size], position + size
    (num_values,) = struct.unpack_from("<I", content, position)
    size = 2 if kind in _SHORT_TYPES else size
    position += 4
    return content[position : position + size], position + _padded(num_values * size)


def _padded(size: int) -> int:
    return size + -size % 4

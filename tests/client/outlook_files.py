"""Outlook's files made by hand: .msg, which is an OLE file (MS-CFB), and TNEF (MS-OXTNEF)."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from typing import Union

Tree = dict[str, Union[bytes, "Tree"]]
Values = dict[int, str | bytes | int | datetime]

SECTOR, MINI_SECTOR, MINI_LIMIT = 512, 64, 4096
_END, _FREE, _TABLE, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class _Sectors:
    """Contents in pieces of one size, and the table of which piece follows which."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.content = bytearray()
        self.table: list[int] = []

    def add(self, content: bytes) -> int:
        """The first of the pieces."""
        num_pieces = -(-len(content) // self.size)
        if not num_pieces:
            return _END
        start = len(self.table)
        self.table += [*range(start + 1, start + num_pieces), _END]
        self.content += content.ljust(num_pieces * self.size, b"\0")
        return start

    def packed_table(self) -> bytes:
        return struct.pack(f"<{len(self.table)}I", *self.table)


def ole_file(root: Tree) -> bytes:
    """An OLE file of sectors of 512 bytes, without DIFAT: 7 MB at most.

    In place of a balanced tree, children of a storage hang one behind the other.
    """
    sectors, mini = _Sectors(SECTOR), _Sectors(MINI_SECTOR)
    entries: list[bytes] = []

    def add(name: str, node: bytes | Tree, following: int) -> int:
        number = len(entries)
        entries.append(b"")
        if isinstance(node, bytes):
            start = (mini if len(node) < MINI_LIMIT else sectors).add(node)
            entries[number] = _entry(name, 2, following, _NONE, start, len(node))
        else:
            entries[number] = _entry(name, 1, following, add_all(node), 0, 0)
        return number

    def add_all(storage: Tree) -> int:
        following = _NONE
        for name in reversed(list(storage)):
            following = add(name, storage[name], following)
        return following

    entries.append(b"")
    child = add_all(root)
    start, size = sectors.add(bytes(mini.content)), len(mini.content)
    entries[0] = _entry("Root Entry", 5, _NONE, child, start, size)
    directory = sectors.add(b"".join(entries))
    mini_table = mini.packed_table()
    mini_table = mini_table.ljust(-(-len(mini_table) // SECTOR) * SECTOR, b"\xff")
    first_mini_table = sectors.add(mini_table)
    first_table = len(sectors.table)
    num_tables = -(-(first_table + 1) * 4 // (SECTOR - 4))
    sectors.table += [_TABLE] * num_tables
    sectors.table += [_FREE] * (num_tables * SECTOR // 4 - len(sectors.table))
    header = struct.pack(
        "<8s16xHHHHHHIIIIIIIIII", _SIGNATURE, 0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0, num_tables, directory,
        0, MINI_LIMIT, first_mini_table, len(mini_table) // SECTOR, _END, 0,
    )  # fmt: skip
    tables = [*range(first_table, first_table + num_tables)]
    header += struct.pack("<109I", *tables, *[_FREE] * (109 - num_tables))
    return header + bytes(sectors.content) + sectors.packed_table()


def _entry(name: str, kind: int, following: int, child: int, start: int, size: int) -> bytes:
    wide = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16xI16xIQ", wide, len(wide) + 2, kind, 1, _NONE, following, child, 0, start, size
    )


def properties(header_size: int, values: Values) -> Tree:
    """The streams of a message, a recipient or an attachment, by number and type (`0x0037001F`)."""
    streams: Tree = {}
    fixed = bytearray(header_size)
    for tag, value in values.items():
        size = 0
        if isinstance(value, str | bytes):
            content = value if isinstance(value, bytes) else value.encode("utf-16-le")
            streams[f"__substg1.0_{tag:08X}"] = content
            size = len(content)
        elif isinstance(value, datetime):
            size = filetime(value)
        else:
            size = value
        fixed += struct.pack("<IIQ", tag, 6, size)
    streams["__properties_version1.0"] = bytes(fixed)
    return streams


def filetime(moment: datetime) -> int:
    return int((moment - datetime(1601, 1, 1, tzinfo=timezone.utc)).total_seconds()) * 10_000_000


def tnef(*pieces: tuple[int, int, bytes]) -> bytes:
    """winmail.dat of pieces: level (1 the mail, 2 a file), number with type, content."""
    out = struct.pack("<IH", 0x223E9F78, 1)
    for level, tag, content in pieces:
        checksum = struct.pack("<H", sum(content) & 0xFFFF)
        out += struct.pack("<BII", level, tag, len(content)) + content + checksum
    return out


def tnef_properties(values: Values, names: dict[int, int] | None = None) -> bytes:
    """The content of the pieces 0x00069003 (of the mail) and 0x00069005 (of a file)."""
    out = struct.pack("<I", len(values))
    for tag, value in values.items():
        out += struct.pack("<HH", tag & 0xFFFF, tag >> 16)
        if tag >> 16 >= 0x8000:
            out += bytes(16) + struct.pack("<II", 0, (names or {})[tag >> 16])
        if isinstance(value, datetime):
            out += struct.pack("<Q", filetime(value))
        elif isinstance(value, int):
            out += struct.pack("<I", value)
        else:
            content = value if isinstance(value, bytes) else value.encode("utf-16-le") + b"\0\0"
            out += struct.pack("<II", 1, len(content)) + content + bytes(-len(content) % 4)
    return out

"""Properties of Outlook's messages, people and attachments, by their numbers (MS-OXPROPS)."""

from __future__ import annotations

import re
import struct
from datetime import datetime, timedelta, timezone

from onecard_client._mailbox.mime.bounds import sound
from onecard_client._mailbox.mime.charsets import decoded
from onecard_client._mailbox.mime.outlook.compound import Storage

# How much precedes the first property (MS-OXMSG, section 2.4.1).
ROOT_HEADER = 32
EMBEDDED_HEADER = 24
OTHER_HEADER = 8

MAX_PROPERTIES = 5_000
MAX_TEXT_BYTES = 40_000_000

_INTEGER, _BOOLEAN, _TIME = 0x0003, 0x000B, 0x0040
_TEXT_8BIT, _TEXT, _BINARY = 0x001E, 0x001F, 0x0102
_INTERNET_CODEPAGE, _MESSAGE_CODEPAGE = 0x3FDE, 0x3FFD
_STREAM = re.compile(r"__substg1\.0_([0-9a-f]{8})")
# https://learn.microsoft.com/en-us/windows/win32/intl/code-page-identifiers; others are `cp` and
# their number.
_CODEPAGES = {
    0: "", 1200: "utf-16-le", 1201: "utf-16-be", 10000: "macintosh", 20127: "us-ascii",
    20866: "koi8-r", 21866: "koi8-u", 38598: "iso-8859-8", 51949: "euc-kr", 54936: "gb18030",
    65000: "utf-7", 65001: "utf-8",
}  # fmt: skip
_EPOCH = datetime(1601, 1, 1, tzinfo=timezone.utc)


class Properties:
    """The properties of one object; a missing or broken one is empty.

    Args:
        fixed: by number and type as one (`0x0E060040`), eight bytes at most.
        others: likewise; texts and bytes.
        codepage: of the texts that are not in UTF-16, if they do not say it.
    """

    def __init__(
        self, fixed: dict[int, bytes], others: dict[int, bytes], codepage: int = 0
    ) -> None:
        self._fixed = fixed
        self._others = others
        self.codepage = self.number(_MESSAGE_CODEPAGE) or codepage

    @property
    def html_charset(self) -> str:
        codepage = self.number(_INTERNET_CODEPAGE) or self.codepage
        return charset_of_codepage(codepage)

    def text(self, number: int) -> str:
        content = self._other(number, _TEXT)
        if content:
            whole = content[: len(content) // 2 * 2]
            return sound(whole.decode("utf-16-le", "replace")).rstrip("\0")
        content = self._other(number, _TEXT_8BIT)
        return decoded(content, charset_of_codepage(self.codepage)).rstrip("\0")

    def data(self, number: int) -> bytes:
        return self._other(number, _BINARY)

    def number(self, number: int) -> int:
        value = self._fixed.get(number << 16 | _INTEGER) or self._fixed.get(number << 16 | _BOOLEAN)
        return int.from_bytes(value[:4], "little") if value else 0

    def time(self, number: int) -> datetime | None:
        return time_of_filetime(self._fixed.get(number << 16 | _TIME, b""))

    def _other(self, number: int, kind: int) -> bytes:
        return self._others.get(number << 16 | kind, b"")[:MAX_TEXT_BYTES]


def properties_of_storage(storage: Storage, header_size: int, codepage: int = 0) -> Properties:
    """The properties of a message, recipient or attachment in a .msg (MS-OXMSG, section 2.4)."""
    content = storage.streams.get("__properties_version1.0", b"")[header_size:]
    content = content[: 16 * min(len(content) // 16, MAX_PROPERTIES)]
    fixed = {tag: value for tag, value in struct.iter_unpack("<I4x8s", content)}
    others = {
        int(match[1], 16): content
        for name, content in storage.streams.items()
        if (match := _STREAM.fullmatch(name))
    }
    return Properties(fixed, others, codepage)


def charset_of_codepage(codepage: int) -> str:
    """Its name, which need not be one that Python knows."""
    if 28591 <= codepage <= 28605:
        return f"iso-8859-{codepage - 28590}"
    return _CODEPAGES.get(codepage, f"cp{codepage}")


def time_of_filetime(value: bytes) -> datetime | None:
    """The time of 100 ns ticks since 1601; None for zero and for the year 4501, which mean none."""
    ticks = int.from_bytes(value[:8], "little")
    try:
        found = _EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None
    return found if 1601 < found.year < 4500 else None


def filetime_of_time(moment: datetime) -> bytes:
    return ((moment - _EPOCH) // timedelta(microseconds=1) * 10).to_bytes(8, "little")

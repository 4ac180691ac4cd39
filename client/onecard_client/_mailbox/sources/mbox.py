"""Splits an mbox of any dialect, or an MMDF, into emails; every byte is in a piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from onecard_client._mailbox.mime import MAX_MAIL_BYTES
from onecard_client._mailbox.sources.headers import is_known_header, known_headers
from onecard_client._mailbox.sources.window import CHUNK_BYTES, Window

FROM = b"From "
MMDF = b"\1\1\1\1"
# What stays before a line that may begin a mail, to see whether an empty line stands there.
_CONTEXT_BYTES = 256
_MAX_BLANK_BYTES = 40
_MAX_PART_HEADER_BYTES = 1_000
_MAX_FROM_LINE_BYTES = 1_000

_LINE_ENDS = b"\r\n\0"
_FROM_LINES = re.compile(rb"(?:\x01{4,}[\r\n]*|>*From (?![ \t]*:)[^\r\n]*(?:\r\n|\n|\r|\Z))+")
# `>From ` of mboxo and `>>From ` of mboxrd, as they were before they were quoted.
_QUOTED = re.compile(rb"(?:(?<=[\r\n])|\A)>(?=>*From )")
_BLANK_BEFORE = re.compile(rb"(?:\r\n|\n|\r(?!\n))[ \t\0]*(?:\r\n|\n|\r|\0)\0*\Z")
# A `From ` line ends them as well: to look further would take a time with the square of the size.
_HEADERS_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|[\r\n]From ")
_MAX_HEADERS_BYTES = 1 << 18
_LENGTH = re.compile(rb"[\r\n]Content-Length[ \t]*:[ \t]*(\d{1,12})[ \t]*[\r\n]", re.IGNORECASE)
_LANDING = re.compile(rb"(?:\r\n|\n|\r){0,2}")
# A boundary of MIME, the headers of its part, and an empty line.
_PART_HEADER = re.compile(
    rb"[\r\n]--[^\r\n]+(?:\r\n|\n|\r)(?:(?:[!-9;-~]+:|[ \t]+\S)[^\r\n]*(?:\r\n|\n|\r))+"
    rb"(?:\r\n|\n|\r)\Z"
)
_TIME = re.compile(rb"\b\d{1,2}:\d\d\b")
_YEAR = re.compile(rb"\b(?:19|20)\d\d\b")


@dataclass(frozen=True)
class Piece:
    """A mail as it lies in its file, with what separates it from the one before.

    Attributes:
        start: where it begins, in bytes.
        num_bytes: how long it is; the next one begins behind it.
        content: its first MAX_MAIL_BYTES.
        is_declared: its length is what Content-Length says.
    """

    start: int
    num_bytes: int
    content: bytes
    is_declared: bool = False

    def mail(self) -> bytes:
        """The mail without the lines that separate it, `>From ` as it was."""
        raw = without_separator(self.content)
        # mboxcl2 has lengths and quotes nothing, which an unquoted one shows
        if b">From " not in raw or (self.is_declared and re.search(rb"[\r\n]From ", raw)):
            return raw
        return _QUOTED.sub(b"", raw)

    @property
    def is_separated(self) -> bool:
        return _FROM_LINES.match(self.content) is not None


def without_separator(content: bytes) -> bytes:
    """A mail without the `From ` lines before its headers."""
    found = _FROM_LINES.match(content)
    return content[found.end() :] if found else content


class Splitter:
    """Cuts a window into mails.

    Args:
        is_strict: cut only where nothing but a mail can begin, as in a file that may be one mail.
        separator: FROM or MMDF.

    Attributes:
        num_doubtful: lines that have all of a separator but are followed by no mail.
    """

    def __init__(self, window: Window, *, is_strict: bool, separator: bytes = FROM) -> None:
        self._window = window
        self._is_strict = is_strict
        self._separator = separator
        self.num_doubtful = 0

    def pieces(self) -> Iterator[Piece]:
        """Together they are all of the window; linear in time, a mail and a chunk in memory."""
        while self._window.ensure(1):
            start = self._window.start
            length = self._declared_length()
            if length:
                piece = Piece(start, length, self._window.take(length), is_declared=True)
            else:
                content, num_bytes = self._up_to_separator()
                piece = Piece(start, num_bytes, content)
            yield piece
            self._is_strict = self._is_strict and not self._window.data.startswith(FROM)

    def _declared_length(self) -> int:
        """Content-Length if it leads to the next email or to the end, as in mboxcl; else 0."""
        window = self._window
        while (headers := _HEADERS_END.search(window.data, 0, _MAX_HEADERS_BYTES)) is None:
            if len(window.data) > _MAX_HEADERS_BYTES or not window.grow():
                return 0
        found = _LENGTH.search(window.data, 0, headers.end())
        if found is None or int(found.group(1)) > MAX_MAIL_BYTES:
            return 0
        end = headers.end() + int(found.group(1))
        window.ensure(end + _MAX_FROM_LINE_BYTES)
        if end > len(window.data):
            return 0
        landing = _LANDING.match(window.data, end)
        behind = landing.end() if landing else end
        if behind == len(window.data) and window.ended:
            return behind
        is_line = behind > end or window.data[end - 1] in _LINE_ENDS
        return behind if is_line and self._is_separator(behind, has_blank=True) else 0

    def _up_to_separator(self) -> tuple[bytes, int]:
        """The first MAX_MAIL_BYTES up to the next mail, and the number of all of them."""
        window = self._window
        own_lines = _FROM_LINES.match(window.data)
        position = max(own_lines.end() if own_lines else 0, 1)
        kept: list[bytes] = []
        num_kept = num_bytes = 0
        while True:
            found, position = self._next_separator(position)
            if found is None and window.grow():
                if position <= (CHUNK_BYTES if num_kept else MAX_MAIL_BYTES):
                    continue
                length = position - _CONTEXT_BYTES
                position = _CONTEXT_BYTES
            else:
                length = len(window.data) if found is None else found
            piece = window.take(length)
            num_bytes += length
            kept.append(piece[: MAX_MAIL_BYTES - num_kept])
            num_kept += len(kept[-1])
            if found is not None or (window.ended and not window.data):
                return b"".join(kept), num_bytes

    def _next_separator(self, position: int) -> tuple[int | None, int]:
        """Where the next mail begins among what was looked at; and up to where there is none."""
        data = self._window.data
        while (at := data.find(self._separator, position)) >= 0:
            if data[at - 1] in _LINE_ENDS and self._is_separator(at):
                return at, at
            position = at + len(self._separator)
        return None, max(position, len(data) - len(self._separator) + 1)

    def _is_separator(self, at: int, *, has_blank: bool = False) -> bool:
        """A mail begins here: its headers follow, and the line has a date, an address, or none.

        Not every program leaves a line empty, writes a date, or quotes a `From ` that begins a
        sentence (https://www.rfc-editor.org/rfc/rfc4155#appendix-A).
        """
        if self._separator == MMDF:
            return True
        window = self._window
        behind = window.line_end(at, _MAX_FROM_LINE_BYTES)
        line = bytes(window.data[at : min(behind, at + _MAX_FROM_LINE_BYTES)])
        if not line.startswith(FROM) or line[len(FROM) :].lstrip().startswith(b":"):
            return False
        has_blank = has_blank or self._has_blank_before(at)
        is_dated = bool(_TIME.search(line) and _YEAR.search(line))
        num_wanted = self._num_headers_wanted(
            line,
            has_blank=has_blank,
            is_dated=is_dated,
            begins_known=is_known_header(window, behind),
        )
        if not num_wanted:
            return False
        num_headers = known_headers(window, behind, is_tolerant=is_dated, enough=num_wanted)
        self.num_doubtful += is_dated and has_blank and not num_headers
        return num_headers >= num_wanted and not self._is_attached(at)

    def _num_headers_wanted(
        self, line: bytes, *, has_blank: bool, is_dated: bool, begins_known: bool
    ) -> int:
        """After how many headers of a mail a `From ` line is believed; 0 for never."""
        if self._is_strict:
            return int(is_dated and has_blank)
        if is_dated:
            return 1
        words = line[len(FROM) :].split(maxsplit=2)
        is_address = bool(words) and b"@" in words[0]
        if has_blank and (is_address or _TIME.search(line)):
            return 1
        if has_blank and len(words) == 1:
            return 1 if begins_known else 2
        return 2 if is_address or words in ([], [b"-"]) else 0  # `From - ` is Netscape's

    def _is_attached(self, at: int) -> bool:
        """A mail within a mail begins here, with the `From ` line that it once had."""
        before = bytes(self._window.data[max(0, at - _MAX_PART_HEADER_BYTES) : at])
        return b"message/" in before and _PART_HEADER.search(before) is not None

    def _has_blank_before(self, at: int) -> bool:
        before = bytes(self._window.data[max(0, at - _MAX_BLANK_BYTES) : at])
        return _BLANK_BEFORE.search(before) is not None

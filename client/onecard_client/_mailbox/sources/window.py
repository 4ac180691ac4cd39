"""A stream of bytes that can be looked at before it is read, whether it can seek or not."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from typing import Any, Protocol

from onecard_client._mailbox.sources.files import reason

CHUNK_BYTES = 1 << 18
# A mailbox shrinks to a fifth; what grows more than this is there to fill memory or time.
MAX_GROWTH = 200
# Below this, growth is nobody's trouble.
MIN_GROWN_BYTES = 100_000_000

_GZIP = b"\x1f\x8b"
_BLANK = re.compile(rb"(?:\xef\xbb\xbf|[\r\n\0]+|[ \t]+(?=[\r\n\0]))*")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)?")
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Readable(Protocol):
    """A source of a window: a file, a pipe, or another window."""

    def read(self, size: int, /) -> bytes: ...


class Window:
    """A view of the bytes ahead in a stream.

    Attributes:
        data: the bytes ahead, as far as they were looked at; it grows in place.
        start: where `data` begins, in bytes from the stream's beginning.
        ended: nothing comes after `data`.
        failure: why the stream ended before its time; empty if it did not.
    """

    def __init__(self, stream: Readable) -> None:
        # read1 gives what a pipe has by now, and does not wait for a chunk of it
        self._read: Any = getattr(stream, "read1", stream.read)
        self.data = bytearray()
        self.start = 0
        self.ended = False
        self.failure = ""

    def grow(self) -> bool:
        """Look further ahead. A stream that fails ends there, so that what came of it counts."""
        if self.ended:
            return False
        try:
            chunk = self._read(CHUNK_BYTES)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            self.failure = reason(error)
            chunk = b""
        self.ended = not chunk
        self.data.extend(chunk or b"")
        return not self.ended

    def ensure(self, num_bytes: int) -> bool:
        """Look so far ahead; false if the stream ends before."""
        while len(self.data) < num_bytes:
            if not self.grow():
                return False
        return True

    def take(self, num_bytes: int) -> bytes:
        """Read what was looked at."""
        with memoryview(self.data) as view:
            piece = bytes(view[:num_bytes])
        self.drop(num_bytes)
        return piece

    def drop(self, num_bytes: int) -> None:
        num_bytes = min(num_bytes, len(self.data))
        del self.data[:num_bytes]
        self.start += num_bytes

    def read(self, num_bytes: int) -> bytes:
        """Reads that many bytes, fewer only at the end."""
        self.ensure(num_bytes)
        return self.take(num_bytes)

    def line_end(self, at: int, limit: int) -> int:
        """The start of the line after the one at `at`; looks no further than `limit` bytes."""
        while True:
            found = _LINE.match(self.data, at)
            end = found.end() if found else at
            # the last byte may be half of a line end
            if end < len(self.data) or end - at > limit or not self.grow():
                return end

    def skip_blank(self) -> None:
        """Drop blank lines, NULs of files that were never written, and byte order marks."""
        while self.ensure(1):
            found = _BLANK.match(self.data)
            num_blank = found.end() if found else 0
            is_all = num_blank == len(self.data)
            self.drop(num_blank)
            if not is_all:
                return

    def is_blank(self) -> bool:
        """Whether only blanks are left."""
        return self.ended and not self.data.strip(b"\0 \t\r\n")


def opened(stream: Readable) -> Window:
    """A window on the text of a stream: unpacked, in UTF-8 if it is UTF-16, from its first line."""
    window = Window(stream)
    window.ensure(16)
    if window.data.startswith(_GZIP):
        window = Window(_Unpacked(window))
        window.ensure(16)
    encoding = _wide_encoding(bytes(window.data[:64]))
    if encoding:
        window = Window(_Transcoded(window, encoding))
    window.skip_blank()
    return window


def _wide_encoding(head: bytes) -> str:
    """UTF-16 by its mark, or because every other byte is NUL, as in no other text."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    first, second = head[0:16:2], head[1:16:2]
    if len(head) < 16 or not any(first + second):
        return ""
    if not any(second) and all(first):
        return "utf-16-le"
    return "utf-16-be" if not any(first) and all(second) else ""


class _Unpacked:
    def __init__(self, window: Window) -> None:
        self._window = window
        self._file = gzip.GzipFile(fileobj=window)  # type: ignore[call-overload]
        self._num_bytes = 0

    def read(self, size: int, /) -> bytes:
        chunk: bytes = self._file.read1(size)
        self._num_bytes += len(chunk)
        packed = self._window.start + 1
        if self._num_bytes > MIN_GROWN_BYTES and self._num_bytes > MAX_GROWTH * packed:
            raise ValueError(
                f"grows more than {MAX_GROWTH}-fold when it is unpacked, as no mails do; "
                "unpack it and look at it"
            )
        return chunk


class _Transcoded:
    def __init__(self, window: Window, encoding: str) -> None:
        self._window = window
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, size: int, /) -> bytes:
        while True:
            self._window.ensure(1)
            chunk = self._window.take(size)
            text = self._decoder.decode(chunk, final=not chunk)
            if text or not chunk:
                if self._window.failure and not text:
                    raise ValueError(self._window.failure)
                return text.encode("utf-8", "replace")

"""Walks through the boxes and chunks of a file: each inside its parent, and at most MAX_STEPS.

Sizes come from a sender and may be wrong: a box may claim to be larger than the box that holds it,
and eight zero bytes are an empty chunk.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

Data = bytes | mmap.mmap

# Six hours in fragments of half a second are 86,400 boxes. What lies behind so many is not looked
# at; the decoder, which has limits of its own, still reads it.
MAX_STEPS = 200_000
_HEADER_BYTES = 8


@dataclass(frozen=True)
class Piece:
    """A box or a chunk: data[start:end] is its content.

    Attributes:
        first: where its header begins.
        end: at most that of its parent.
        declared_end: by its own header, wherever that is.
    """

    kind: bytes
    first: int
    start: int
    end: int
    declared_end: int


class Walker:
    """Goes through the pieces of one file, MAX_STEPS in all walks together."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._num_left = MAX_STEPS

    @property
    def is_tired(self) -> bool:
        """Whether there was more than it goes through."""
        return self._num_left <= 0

    def boxes(self, start: int, end: int) -> Iterator[Piece]:
        """Boxes of ISO base media files (ISO/IEC 14496-12, 4.2) in data[start:end]."""
        end = min(end, len(self._data))
        while start + _HEADER_BYTES <= end and self._steps():
            size, kind = struct.unpack_from(">I4s", self._data, start)
            content = start + _HEADER_BYTES
            if size == 1 and content + 8 <= end:
                (size,) = struct.unpack_from(">Q", self._data, content)
                content += 8
            elif size == 0:  # up to the end
                size = end - start
            if start + size < content:
                return
            yield Piece(kind, start, content, min(start + size, end), start + size)
            start += size

    def chunks(self, start: int, end: int) -> Iterator[Piece]:
        """Chunks of RIFF files in data[start:end]; an odd one is followed by a byte of padding."""
        end = min(end, len(self._data))
        while start + _HEADER_BYTES <= end and self._steps():
            kind, size = struct.unpack_from("<4sI", self._data, start)
            content = start + _HEADER_BYTES
            yield Piece(kind, start, content, min(content + size, end), content + size)
            start = content + size + size % 2

    def _steps(self) -> bool:
        self._num_left -= 1
        return self._num_left >= 0

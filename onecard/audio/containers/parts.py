"""Recordings one behind the other in a file, as `cat`, uploads and capture programs leave them.

FFmpeg reads on by itself in streams of frames (MP3, ADTS, Ogg, MPEG-TS). Where a header says how
much there is (WAV, AIFF, MP4, Matroska, FLAC), it stops after the first recording. ADTS is divided
where it is damaged or changes its form.
"""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass

from onecard.audio.containers import adts
from onecard.audio.containers.walker import Data, Walker

FORMAT_ADTS = "aac"
# More of them than this is no recording but an attack on the opener.
MAX_PARTS = 1_000
# Looked through at once, and the most that a signature has.
_SCAN_BYTES, _SIGNATURE_BYTES = 1 << 24, 80
# What a WAV may have behind its samples without being more of them (tags, padding).
_MIN_REST_BYTES = 4_096
_CHUNK_NAME = re.compile(rb"[ -~]{4}")
# A recording's first bytes, by the first bytes of the file.
_SIGNATURES = {
    b"RIFF": re.compile(rb"(?:RIFF|RF64|BW64)[\s\S]{4}WAVE"),
    b"RF64": re.compile(rb"(?:RIFF|RF64|BW64)[\s\S]{4}WAVE"),
    b"FORM": re.compile(rb"FORM[\s\S]{4}AIF[FC]"),
    # the marker, then a STREAMINFO of 34 bytes (RFC 9639, 6 and 8.2)
    b"fLaC": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    # EBML's own number, then DocType within its header (RFC 8794, 11.2.1)
    b"\x1a\x45\xdf\xa3": re.compile(rb"\x1a\x45\xdf\xa3[\s\S]{0,60}?\x42\x82.(?:webm|matroska)"),
}


@dataclass(frozen=True)
class Part:
    """Bytes [start, end) of a file that are one recording.

    Attributes:
        num_unsaid: bytes of samples that a WAV has beyond what its header says.
        lost_s: damaged sound between the part before and this one, which may hold no sound itself.
        format: FFmpeg's name of it, where a short part may look like something else.
    """

    start: int
    end: int
    num_unsaid: int = 0
    lost_s: float = 0.0
    format: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """FFmpeg's, for its demuxer."""
        return {"ignore_length": "1"} if self.num_unsaid else {}


def split(data: Data) -> list[Part]:
    """The recordings in a file, in order; one that covers the file where there is but one.

    A start within a box or a chunk of samples counts as well: what a signature of twelve bytes
    begins is no sound.
    """
    if adts.is_adts(data):
        return _undamaged(data)
    starts = list(_starts(data))
    parts = [Part(a, b) for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        walker = Walker(data)
        return [_unsaid(walker, data, part) for part in parts]
    return parts


def _undamaged(data: Data) -> list[Part]:
    """What lies between the damaged stretches of raw AAC, all of one form in each part.

    The tag ahead is left out: FFmpeg does not recognize a file whose tag has megabytes of pictures.
    """
    holes = adts.holes(data)[: MAX_PARTS - 1]
    ends = [*(hole.start for hole in holes), len(data)]
    found = [Part(adts.after_tag(data, 0), ends[0], format=FORMAT_ADTS)]
    for hole, end in zip(holes, ends[1:], strict=True):
        found.append(Part(hole.end, end, lost_s=hole.duration_s, format=FORMAT_ADTS))
    return found


def window(data: Data, part: Part) -> io.RawIOBase:
    """The part as a file of its own."""
    return _Window(data, part)


def _starts(data: Data) -> Iterator[int]:
    yield 0
    if data[4:8] == b"ftyp":
        yield from _second_movies(data)
        return
    signature = _SIGNATURES.get(data[:4])
    if signature is None:
        return
    num_parts = 1
    for first in range(4, len(data), _SCAN_BYTES):
        last = first + _SCAN_BYTES
        for match in signature.finditer(data, first, min(last + _SIGNATURE_BYTES, len(data))):
            if match.start() < last:
                num_parts += 1
                if num_parts > MAX_PARTS:
                    return
                yield match.start()
        if isinstance(data, mmap.mmap):  # seen: its pages need not stay in this process
            data.madvise(mmap.MADV_DONTNEED)


def _second_movies(data: Data) -> Iterator[int]:
    """Where another `ftyp` begins after a `moov`; one ahead of it belongs to the same movie."""
    has_index = False
    num_movies = 1
    for box in Walker(data).boxes(0, len(data)):
        if box.kind == b"ftyp" and has_index:
            num_movies += 1
            if num_movies > MAX_PARTS:
                return
            yield box.first
            has_index = False
        has_index = has_index or box.kind == b"moov"


def _unsaid(walker: Walker, data: Data, part: Part) -> Part:
    """The part, and how much of its samples its header leaves out."""
    rest = None
    for chunk in walker.chunks(part.start + 12, part.end):
        size = chunk.declared_end - chunk.start
        if rest is not None:  # chunks behind the samples
            if not _CHUNK_NAME.fullmatch(chunk.kind) or chunk.declared_end > part.end:
                break
            rest = chunk.declared_end + size % 2
        elif chunk.kind == b"data" and size:  # 0: written before the samples, and FFmpeg reads on
            rest = chunk.declared_end + size % 2
    if rest is None or part.end - rest < _MIN_REST_BYTES or walker.is_tired:
        return part
    head = data[rest : rest + 16]
    if head[:3] in (b"ID3", b"TAG") or not any(head):
        return part
    return Part(part.start, part.end, part.end - rest)


class _Window(io.RawIOBase):
    """A file of the bytes of a part, without a copy."""

    def __init__(self, data: Data, part: Part) -> None:
        self._data, self._part = data, part
        self._at = part.start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = self._part.end if size is None or size < 0 else min(self._at + size, self._part.end)
        found = bytes(self._data[self._at : end])
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: self._part.start, io.SEEK_CUR: self._at, io.SEEK_END: self._part.end}
        self._at = min(max(base[whence] + offset, self._part.start), self._part.end)
        return self._at - self._part.start

    def tell(self) -> int:
        return self._at - self._part.start

"""The stretches of a raw AAC file (ADTS; ISO/IEC 13818-7, 6.2) that are no frames, hence damaged.

FFmpeg passes over them without a word (libavformat/aacdec.c, `adts_aac_resync`). ADTS numbers no
frames: in a stretch were as many as fit into it.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from onecard.audio.containers.walker import Data

# Six hours at 48 kHz; what lies behind so many is left to the decoder.
_MAX_FRAMES = 1_100_000
_HEADER_BYTES = 7
_HEADER = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")  # MPEG-2 or MPEG-4, with a checksum or without
_FORM = 0xFFFFFDC  # of the 28 fixed bits all but those for private use, original and home
_TAGS = (b"TAG", b"APE")  # at the end, ID3v1 and APE
_RATES = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
)  # fmt: skip
_FRAME_SAMPLES = 1024
# Fewer frames between two holes are a part of the hole, also because a header may arise by chance.
_MIN_RUN = 4
_NEAR = 40  # frames ahead of a hole and behind it, whose sizes say how many were in it


@dataclass(frozen=True)
class Hole:
    """Bytes [start, end) of a file that are no frames, and what they lasted."""

    start: int
    end: int
    duration_s: float


def is_adts(data: Data) -> bool:
    """Whether the file, or what follows its tag, begins with frames of raw AAC."""
    return _is_run(data, after_tag(data, 0))


def after_tag(data: Data, start: int) -> int:
    """Where an ID3v2 tag at `start` ends (ID3v2.4, 3.1); `start` itself where there is none."""
    head = data[start : start + 10]
    if head[:3] != b"ID3" or len(head) < 10:
        return start
    return start + 10 + ((head[6] << 21) | (head[7] << 14) | (head[8] << 7) | head[9])


def holes(data: Data) -> list[Hole]:
    """The damaged stretches of a raw AAC file, in order; none where all is frames and tags.

    The last frame ahead of each is counted in: it was hit as well, as it does not end at another.
    Where the stream changes its form, as of another rate, is a hole without bytes: FFmpeg counts
    the time of what follows by what came before.
    """
    sizes = array("H")  # of the frames
    found = list(_torn(data, sizes))
    return [
        Hole(start, end, _num_frames(end - start, sizes, index) * _frame_s(data, end))
        for start, end, index in _merged(found)
    ]


def _torn(data: Data, sizes: array[int]) -> Iterator[tuple[int, int, int]]:
    """(start, end, number of frames ahead of it) of each stretch; fills `sizes`."""
    at = after_tag(data, 0)
    form, _ = _header(data, at)
    while at + _HEADER_BYTES <= len(data) and len(sizes) < _MAX_FRAMES:
        found, size = _header(data, at)
        if found == form and size >= _HEADER_BYTES:
            sizes.append(size)
            at += size
            continue
        if _is_run(data, at):
            yield at, at, len(sizes)
            form = found
        elif data[at : at + 3] in _TAGS:
            return
        elif after_tag(data, at) > at:
            at = after_tag(data, at)
        else:
            start = at - sizes.pop() if sizes else at
            at = _next_run(data, start + 1)
            yield start, at, len(sizes)
            form, _ = _header(data, at)


def _merged(torn: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The stretches, and as one those with hardly a frame between them."""
    found: list[tuple[int, int, int]] = []
    for start, end, index in torn:
        if found and index - found[-1][2] < _MIN_RUN:
            start, _, index = found.pop()
        found.append((start, end, index))
    return found


def _num_frames(num_bytes: int, sizes: array[int], index: int) -> int:
    """How many frames took `num_bytes`, by the sizes of those around number `index`."""
    near = sizes[max(0, index - _NEAR) : index + _NEAR]
    return max(1, round(num_bytes * len(near) / sum(near))) if near and num_bytes else 0


def _frame_s(data: Data, at: int) -> float:
    """How long a frame lasts, by the first one from `at` on or, at the end, by that of the file."""
    rate = _rate(data, at) or _rate(data, after_tag(data, 0))
    return _FRAME_SAMPLES / rate if rate else 0.0


def _rate(data: Data, at: int) -> int:
    head = data[at : at + 3]
    index = (head[2] >> 2) & 15 if len(head) == 3 else len(_RATES)
    return _RATES[index] if index < len(_RATES) else 0


def _header(data: Data, at: int) -> tuple[int, int]:
    """The form that a frame's header tells, and the size of the frame."""
    head = int.from_bytes(data[at : at + _HEADER_BYTES], "big")
    return head >> 28 & _FORM, (head >> 13) & 0x1FFF


def _next_run(data: Data, start: int) -> int:
    """Where the next frames begin; the end where there are none."""
    for match in _HEADER.finditer(data, start):
        if _is_run(data, match.start()):
            return match.start()
    return len(data)


def _is_run(data: Data, at: int) -> bool:
    """Whether _MIN_RUN frames of the same form follow each other from `at` on."""
    if not _HEADER.match(data, at) or not _rate(data, at):
        return False
    form, _ = _header(data, at)
    for _ in range(_MIN_RUN):
        found, size = _header(data, at)
        if at + _HEADER_BYTES > len(data) or found != form or size < _HEADER_BYTES:
            return False
        at += size
    return True

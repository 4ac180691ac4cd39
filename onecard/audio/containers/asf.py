"""What the header of a Windows Media file (ASF) declares.

FFmpeg does not believe its duration where the file is more than 5 % shorter than the header says
(libavformat/asfdec_f.c), which is when it is wanted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from onecard.audio.containers.walker import Data

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
HEADER_BYTES = 1 << 16  # looked through; the header object may be longer, with cover pictures
# File Properties Object (ASF specification, 3.2), which writers put first.
_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# From behind its identifier and size: a file identifier, the file's size, date, number of packets,
# duration and time to send it in 100 ns, preroll in ms, flags.
_FIELDS = struct.Struct("<16sQQQQQQI")
_BROADCAST = 1  # flag: written live, so that the numbers are not valid


@dataclass(frozen=True)
class Declared:
    """The whole file's bytes, and how long it plays; 0 where the header does not say."""

    num_bytes: int
    duration_s: float


def declared(data: Data) -> Declared:
    """What the file's header says; nothing of a file that is not ASF."""
    nothing = Declared(0, 0.0)
    if data[:16] != HEADER:
        return nothing
    at = data.find(_PROPERTIES, 0, HEADER_BYTES)
    if at < 0 or at + 24 + _FIELDS.size > len(data):
        return nothing
    _, num_bytes, _, _, duration, _, preroll_ms, flags = _FIELDS.unpack_from(data, at + 24)
    if flags & _BROADCAST:
        return nothing
    return Declared(num_bytes, max(0.0, duration / 1e7 - preroll_ms / 1e3))

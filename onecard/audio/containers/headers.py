"""Reads from the headers of a media file that it is encrypted, or cut off before its end.

Only headers are read. FFmpeg plays what is left of a cut file without a message, so that only the
container shows the cut. Each rule below is stated by the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onecard.audio.containers import asf
from onecard.audio.containers.walker import MAX_STEPS, Data, Piece, Walker
from onecard.errors import InvalidRequest

CUT = "send the whole file again"

# Sizes that writers put into a RIFF header when they stream and cannot come back to correct it:
# 0, and anything within a page of the 2 GiB and 4 GiB limits (FFmpeg, SoX and GStreamer do these).
_STREAMED_FROM = 0x7FFF_F000
# Recorders that were killed leave these (seen in `rec` and in phones): whole powers of two.
_STREAMED = {1 << 28, 1 << 29, 1 << 30, (1 << 30) + 36}

# Top-level boxes of ISO base media files that must be complete; others may be padding or junk.
_NEEDED_BOXES = (b"moov", b"mdat", b"moof")
# Where in `moov` the sample entries of a track are (ISO/IEC 14496-12, 8.1 to 8.5).
_PATH_TO_ENTRIES = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
# `enca`: ISO common encryption. `drms`: iTunes FairPlay. `aavd`: Audible.
_ENCRYPTED_ENTRIES = (b"enca", b"drms", b"aavd")
# Content Encryption and Extended Content Encryption objects (ASF specification, 3.14 and 3.15).
_ASF_ENCRYPTED = (
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"),
)

# Whole pages have at most 65,307 bytes (RFC 3533, 6), and some have tags behind them.
_OGG_BYTES = 1 << 20

# FFmpeg takes the duration of these from a header; others it estimates from size and bit rate,
# which says nothing about what the file once held.
_DECLARING_FORMATS = {
    "wav", "flac", "aiff", "au", "mov", "mp4", "matroska", "webm", "asf", "tta", "ape",
}  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """A file ends before its own header says: bytes declared and there.

    Attributes:
        is_even: the bytes are sound all along, so that they tell how much of it is missing.
    """

    what: str
    num_declared: int
    num_found: int
    is_even: bool = False

    def __str__(self) -> str:
        return f"{self.what} declares {self.num_declared} bytes and {self.num_found} are there"


def cut(data: Data) -> Cut | None:
    """The missing end of a file whose header declares more than is there; else None.

    Raises:
        InvalidRequest: the sound is encrypted, or the index without which there is none is missing.
    """
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"styp", b"wide", b"free", b"skip"):
        return _cut_boxes(data)
    if data[:4] == b"RIFF":
        return _cut_riff(data)
    if data[:4] == b"OggS":
        return _cut_ogg(data)
    if data[:16] == asf.HEADER:
        return _cut_asf(data)
    return None


def declares_duration(format_name: str, data: Data) -> bool:
    """Whether the duration that FFmpeg reports for this format was written by the file's maker."""
    if format_name == "mp3":
        return _has_xing(data)
    return bool(_DECLARING_FORMATS & set(format_name.split(",")))


def _encrypted(what: str) -> InvalidRequest:
    return InvalidRequest(
        f"AUDIO is encrypted ({what}); sound in the clear is needed: "
        "export it without copy protection and send that"
    )


def _cut_boxes(data: Data) -> Cut | None:
    walker = Walker(data)
    seen = set()
    found = None
    for box in walker.boxes(0, len(data)):
        seen.add(box.kind)
        if box.kind in _NEEDED_BOXES and box.declared_end > len(data):
            found = found or Cut(
                f"its `{box.kind.decode()}` box",
                box.declared_end - box.start,
                len(data) - box.start,
            )
        if box.kind == b"moov":
            _verify_entries(walker, box, _PATH_TO_ENTRIES)
    if b"moov" not in seen and not walker.is_tired:
        raise InvalidRequest(
            "AUDIO is cut off: an MP4 file without its index (the `moov` box), which writers put "
            f"at the end; {CUT}, or let its recorder finish it"
        )
    return found


def _verify_entries(walker: Walker, parent: Piece, path: Sequence[bytes]) -> None:
    """The sample entries below `parent`, along `path`; nothing else is entered."""
    for box in walker.boxes(parent.start, parent.end):
        if not path:
            if box.kind in _ENCRYPTED_ENTRIES:
                raise _encrypted(f"its sample entry is `{box.kind.decode()}`")
        elif box.kind == path[0]:
            if box.kind == b"stsd":  # version, flags and a count come before the entries
                box = replace(box, start=box.start + 8)
            _verify_entries(walker, box, path[1:])


def _cut_riff(data: Data) -> Cut | None:
    walker = Walker(data)
    for chunk in walker.chunks(12, len(data)):
        if chunk.kind == b"data" and data[8:12] == b"WAVE":
            size = chunk.declared_end - chunk.start
            if chunk.declared_end > len(data) and not _is_streamed(size):
                return Cut("its `data` chunk", size, len(data) - chunk.start, is_even=True)
            return None
    if walker.is_tired:  # FFmpeg would go through all of them
        raise InvalidRequest(
            f"AUDIO has {MAX_STEPS} chunks and no sound among them; send a WAV whose `data` chunk "
            "comes first"
        )
    size = int.from_bytes(data[4:8], "little")
    if 8 + size > len(data) and not _is_streamed(size):
        return Cut("its RIFF header", size, len(data) - 8, is_even=True)
    return None


def _is_streamed(size: int) -> bool:
    """Whether a size was written before the samples were, and never corrected."""
    return size >= _STREAMED_FROM or size in _STREAMED


def _cut_ogg(data: Data) -> Cut | None:
    """The last page has to be whole. A cut between two pages cannot be told from a real end."""
    page = data.rfind(b"OggS", max(0, len(data) - _OGG_BYTES))
    if page < 0:
        return None
    num_segments = data[page + 26] if page + 26 < len(data) else 255
    header = 27 + num_segments
    size = header + sum(data[page + 27 : page + header])
    if page + size > len(data):
        return Cut("its last Ogg page", size, len(data) - page)
    return None


def _cut_asf(data: Data) -> Cut | None:
    if any(guid in data[: asf.HEADER_BYTES] for guid in _ASF_ENCRYPTED):
        raise _encrypted("a Windows Media file with rights management")
    num_bytes = asf.declared(data).num_bytes
    return Cut("its header", num_bytes, len(data)) if num_bytes > len(data) else None


def _has_xing(data: Data) -> bool:
    """Whether an MP3's first frame is the header that encoders write with the number of frames."""
    start = 0
    if data[:3] == b"ID3" and len(data) > 10:
        # A tag of ten bytes plus its size, which is four times seven bits (ID3v2.4, 3.1).
        start = 10 + ((data[6] << 21) | (data[7] << 14) | (data[8] << 7) | data[9])
    # The header lies within the first frame: at most 1441 bytes, behind some padding.
    head = data[start : start + 4096]
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))

"""Sizes that lie: nothing is looked at twice, nothing outside its parent, and not without end."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from onecard import audio
from onecard.audio.containers import headers, parts, walker
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, tone, wav, write


def box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(content) if size is None else size, kind) + content


FTYP = box(b"ftyp", b"isom\0\0\0\0")


def refused(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        audio.decode(data, LIMITS)
    return str(caught.value)


def test_a_box_ends_where_its_parent_does() -> None:
    data = box(b"moov", box(b"trak", b"", size=1 << 30)) + box(b"free", bytes(8))
    (moov, free) = walker.Walker(data).boxes(0, len(data))
    (trak,) = walker.Walker(data).boxes(moov.start, moov.end)
    assert (trak.kind, trak.end, trak.declared_end) == (b"trak", moov.end, moov.start + (1 << 30))
    assert (free.kind, free.first, free.end) == (b"free", moov.end, len(data))


def test_boxes_that_overlap_are_gone_through_once(monkeypatch) -> None:
    """Each small one holds the header of one that reaches to the end of all."""
    inner = b""
    for number in range(40):
        inner += box(b"trak", b"", size=16) + box(b"trak", b"", size=16 * (40 - number) - 8)
    data = FTYP + box(b"moov", inner)
    steps = []
    count = walker.Walker._steps
    monkeypatch.setattr(walker.Walker, "_steps", lambda self: steps.append(1) or count(self))
    headers.cut(data)
    assert len(steps) < len(data) / 8 * 6
    assert "no sound" in refused(data)


@pytest.mark.parametrize("path", [b"trak", b"moov", b"mdia", b"stsd"])
def test_boxes_one_within_the_other_end_nothing(path: bytes) -> None:
    content = b""
    for _ in range(5_000):
        content = box(path, content)
    assert headers.cut(FTYP + box(b"moov", content)) is None
    refused(FTYP + box(b"moov", content))


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 17, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", [b"moov", b"trak", b"mdat", b"stsd"])
def test_odd_sizes_are_refused_and_nothing_worse(size: int, kind: bytes) -> None:
    for outer in (b"", FTYP, FTYP + box(b"moov", bytes(16))):
        refused(outer + box(kind, b"", size=size))
        refused(outer + box(b"moov", box(kind, bytes(5), size=size)))
        refused(outer + box(kind, struct.pack(">Q", 2**63 + size), size=1))


def test_what_is_encrypted_is_found_where_sample_entries_are() -> None:
    data = write("mp4", "aac", 44_100, 1, {}).replace(b"mp4a", b"enca", 1)
    assert "is encrypted" in refused(data)


def test_chunks_of_nothing_are_counted() -> None:
    """Eight zeros are a chunk without a name."""
    data = b"RIFF\0\0\0\0WAVE" + bytes(8 * (walker.MAX_STEPS + 10))
    assert f"{walker.MAX_STEPS} chunks and no sound" in refused(data)
    found = list(walker.Walker(data).chunks(12, len(data)))
    assert len(found) == walker.MAX_STEPS
    assert found[-1].end <= len(data)


def test_recordings_in_a_row_share_their_steps() -> None:
    """Each of them has as many chunks as one may have."""
    one = wav(tone(0.01, 16_000)) + b"junk\0\0\0\0" * 50_000
    found = parts.split(one * 8)
    assert len(found) == 8
    assert found[-1].end == len(one) * 8


def test_a_long_recording_in_fragments_is_gone_through_to_its_end() -> None:
    data = FTYP + box(b"moov", b"") + (box(b"moof", b"") + box(b"mdat", b"")) * 43_200
    whole = walker.Walker(data)
    assert len(list(whole.boxes(0, len(data)))) == 2 + 86_400
    assert not whole.is_tired
    cut = headers.cut(data + box(b"mdat", b"", size=100))
    assert cut is not None
    assert cut.num_declared == 92


def test_a_page_of_ogg_is_looked_for_at_the_end_alone() -> None:
    data = write("ogg", "libopus", 48_000, 1, {})
    assert headers.cut(data) is None
    assert headers.cut(data + bytes(2 << 20)) is None
    assert headers.cut(data[:-10]) is not None


def test_what_is_in_order_decodes_as_ever() -> None:
    pcm = tone(1.0, 16_000)
    data = wav(pcm)
    extra = data[:12] + b"JUNK" + struct.pack("<I", 3) + b"abc\0" + data[12:]
    assert np.array_equal(audio.decode(extra, LIMITS)[0], pcm)

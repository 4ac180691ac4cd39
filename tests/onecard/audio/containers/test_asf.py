"""What the header of a Windows Media file declares."""

from __future__ import annotations

import struct

import pytest

from onecard.audio.containers import asf, headers
from tests.onecard.audio.sounds import write

FLAGS_AT = 24 + 64  # behind the identifier of File Properties


@pytest.fixture(scope="module")
def wma() -> bytes:
    return write("asf", "wmav2", 44_100, 1, {}, duration_s=2.0)


def test_size_and_duration_are_those_of_the_file(wma: bytes) -> None:
    found = asf.declared(wma)
    assert found.num_bytes == len(wma)
    assert found.duration_s == pytest.approx(2.0, abs=0.1)
    assert headers.cut(wma) is None
    assert str(headers.cut(wma[:-100])) == (
        f"its header declares {len(wma)} bytes and {len(wma) - 100} are there"
    )


def test_what_was_broadcast_or_is_cut_within_its_header_declares_nothing(wma: bytes) -> None:
    live = bytearray(wma)
    at = wma.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + FLAGS_AT
    struct.pack_into("<I", live, at, struct.unpack_from("<I", wma, at)[0] | 1)
    for data in (bytes(live), wma[: at - 20], wma[:16], b"", b"RIFF" + wma):
        assert asf.declared(data) == asf.Declared(0, 0.0)


def test_a_preroll_beyond_the_duration_leaves_none(wma: bytes) -> None:
    odd = bytearray(wma)
    at = wma.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + FLAGS_AT - 8
    struct.pack_into("<Q", odd, at, 1 << 40)
    assert asf.declared(bytes(odd)).duration_s == 0.0

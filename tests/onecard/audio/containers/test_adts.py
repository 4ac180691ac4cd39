"""Raw AAC: what is damaged, by its bytes alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecard import audio
from onecard.audio.containers import adts, parts
from tests.onecard.audio.sounds import LIMITS, write

FRAME_S = 1024 / 16_000
ID3 = b"ID3\4\0\0\0\0\1\0" + bytes(128)


def frames(num_frames: int, size: int = 300, rate_index: int = 8) -> bytes:
    """Headers of AAC LC in mono, with contents that begin no frame."""
    bits = 0xFFF1 << 40 | 1 << 38 | rate_index << 34 | 1 << 30 | size << 13 | 0x7FF << 2
    header = bits.to_bytes(7, "big")
    return (header + bytes(range(200)) * 9)[:size] * num_frames


def test_the_headers_are_those_of_a_real_encoder() -> None:
    data = write("adts", "aac", 16_000, 1, {}, duration_s=1.0)
    assert adts.is_adts(data)
    assert adts.is_adts(frames(4))
    assert adts.holes(data) == []
    assert data[:4] == frames(1)[:3] + data[3:4]


@pytest.mark.parametrize(
    "data",
    [
        frames(30), ID3 + frames(30), frames(10) + ID3 + frames(10) + b"TAG" + bytes(125),
        frames(10) + frames(10, size=700),
        frames(10)[:-20],  # cut off
        frames(10) + b"APETAGEX" + bytes(9_000),
    ],
)  # fmt: skip
def test_tags_other_sizes_and_a_cut_are_no_damage(data: bytes) -> None:
    assert adts.is_adts(data)
    assert adts.holes(data) == []
    (part,) = parts.split(data)
    assert (part.start, part.end, part.lost_s) == (len(ID3) * data.startswith(b"ID3"), len(data), 0)


def test_a_stream_is_divided_where_it_changes_its_form_and_nothing_is_lost() -> None:
    data = frames(10) + frames(10, rate_index=4) + frames(10)
    assert adts.holes(data) == [adts.Hole(3_000, 3_000, 0.0), adts.Hole(6_000, 6_000, 0.0)]
    found = [(part.start, part.end, part.lost_s) for part in parts.split(data)]
    assert found == [(0, 3_000, 0), (3_000, 6_000, 0), (6_000, 9_000, 0)]


@pytest.mark.parametrize("num_frames", [1, 5, 60])
def test_a_hole_is_as_long_as_the_frames_that_fit_into_it(num_frames: int) -> None:
    torn = bytearray(frames(200))
    first = 100 * 300 + 150
    torn[first : first + num_frames * 300] = bytes(num_frames * 300)
    (hole,) = adts.holes(bytes(torn))
    assert (hole.start, hole.end) == (100 * 300, (101 + num_frames) * 300)
    assert hole.duration_s == pytest.approx((1 + num_frames) * FRAME_S)


def test_sizes_near_a_hole_say_how_many_frames_it_had() -> None:
    data = frames(500, size=100) + bytes(4_000) + frames(50, size=400)
    (hole,) = adts.holes(data)
    assert hole.duration_s == pytest.approx(4_100 / 250 * FRAME_S, abs=FRAME_S)


def test_bits_that_say_nothing_of_the_sound_may_change_from_frame_to_frame() -> None:
    data = bytearray(frames(20))
    for index in range(20):
        data[300 * index + 2] ^= 2 * (index % 2)  # private
        data[300 * index + 3] ^= 0x20 * (index % 3 == 1)  # original
    assert adts.holes(bytes(data)) == []


def test_a_few_frames_between_two_holes_are_one_with_them() -> None:
    broken = bytes(500)
    (hole,) = adts.holes(frames(50) + broken + frames(3) + broken + frames(50))
    assert hole.end - hole.start == 300 + 500 + 900 + 500
    assert len(adts.holes(frames(50) + broken + frames(20) + broken + frames(50))) == 2


def test_what_is_no_raw_aac_is_not_looked_through() -> None:
    for container, codec in (("mp3", "libmp3lame"), ("wav", "pcm_s16le"), ("flac", "flac")):
        data = write(container, codec, 44_100, 1, {}, duration_s=1.0)
        assert not adts.is_adts(data)
    assert not adts.is_adts(b"")
    assert not adts.is_adts(b"\xff\xf1" * 40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(900, 8_999), st.binary(min_size=99, max_size=900)), max_size=5)
)
def test_whatever_is_damaged_the_parts_are_in_order_and_decode(blows) -> None:
    data = bytearray(write_once())
    for at, blow in blows:
        data[at : at + len(blow)] = blow
    data = bytes(data)
    holes = adts.holes(data) if adts.is_adts(data) else []
    bounds = [bound for hole in holes for bound in (hole.start, hole.end)]
    assert bounds == sorted(bounds)
    assert all(0 <= hole.duration_s < 3.0 for hole in holes)
    if holes:
        pcm, clip = audio.decode(data, LIMITS)
        assert len(clip.gaps) >= len(holes) - 1
        assert len(pcm) / 16_000 == pytest.approx(len(data) / len(write_once()) * 1.5, abs=0.7)


_WRITTEN: list[bytes] = []


def write_once() -> bytes:
    """Some 1.5 s of noise, which takes what it may."""
    if not _WRITTEN:
        _WRITTEN.append(write("adts", "aac", 16_000, 1, {}, duration_s=1.5))
    return _WRITTEN[0]


def test_a_tag_is_no_sound() -> None:
    data = ID3 + write_once()
    pcm, _ = audio.decode(data, LIMITS)
    assert np.array_equal(pcm, audio.decode(write_once(), LIMITS)[0])

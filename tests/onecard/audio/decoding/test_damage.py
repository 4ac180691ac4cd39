"""Files that are cut off or damaged are worth what they hold, and say what is missing."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest

from onecard import audio
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, frames, tone, wav, write

CUT = [
    ("wav", "pcm_s16le", 44_100, 2, {}),
    ("flac", "flac", 48_000, 1, {}),
    ("mp3", "libmp3lame", 44_100, 2, {}),
    ("ogg", "libopus", 48_000, 1, {}),
    ("mp4", "aac", 44_100, 2, {"movflags": "faststart"}),
    ("mp4", "aac", 44_100, 1, {"movflags": "frag_keyframe+empty_moov"}),
    ("matroska", "libopus", 48_000, 1, {}),
    ("avi", "libmp3lame", 44_100, 1, {}),
    ("aiff", "pcm_s16be", 16_000, 1, {}),
    ("asf", "wmav2", 44_100, 1, {}),
]


@pytest.mark.parametrize("form", CUT, ids=lambda form: form[0])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_what_a_cut_file_holds_is_heard_and_what_it_lacks_is_told(form, kept: float) -> None:
    data = write(*form, duration_s=10.0)
    pcm, clip = audio.decode(data[: int(len(data) * kept)], LIMITS)
    assert len(pcm) / 16_000 > 10.0 * kept - 1.1  # Ogg and Matroska lose a page or a cluster
    assert any("cut off" in warning for warning in clip.warnings)
    if form[0] != "ogg":  # which does not say how long it is
        tolerance_s = 1.0 if form[0] == "avi" else 0.2  # AVI tells bytes alone, headers among them
        assert abs(clip.duration_s + clip.missing_s - 10.0) < tolerance_s


@pytest.mark.parametrize("num_missing", [1, 2, 22, 300])
def test_a_few_bytes_less_cost_no_more_than_themselves(num_missing: int) -> None:
    pcm = tone(2.0, 16_000)
    decoded, clip = audio.decode(wav(pcm)[:-num_missing], LIMITS)
    num_left = len(pcm) - (num_missing + 1) // 2
    assert np.array_equal(decoded, pcm[:num_left])
    assert "declares 64000 bytes" in clip.warnings[0]
    assert f"{64_000 - num_missing} are there" in clip.warnings[0]


@pytest.mark.parametrize("size", [0, 1 << 30, 0x7FFF_F000, 0xFFFF_FFFF])
def test_a_size_from_before_the_recording_is_no_size(size: int) -> None:
    data = bytearray(wav(tone(2.0, 16_000)))
    data[40:44] = struct.pack("<I", size)
    pcm, clip = audio.decode(bytes(data), LIMITS, audio.Choice(is_strict=True))
    assert len(pcm) == 32_000
    assert (clip.missing_s, clip.warnings) == (0, ())


def test_a_movie_without_its_index_is_refused_with_the_reason() -> None:
    data = write("mp4", "aac", 44_100, 1, {})
    with pytest.raises(InvalidRequest, match=r"index \(the `moov` box\)"):
        audio.decode(data[: len(data) // 2], LIMITS)


@pytest.mark.parametrize(
    "form",
    [
        ("mp4", "aac", 44_100, 1, {"movflags": "faststart"}),
        ("matroska", "aac", 44_100, 1, {}),
        ("mp3", "libmp3lame", 44_100, 1, {}),  # has no time stamps of its own
        ("adts", "aac", 44_100, 1, {}),  # nor this one
        ("flac", "flac", 16_000, 1, {}),
    ],
    ids=lambda form: form[0],
)
def test_damage_is_silence_of_its_length(form) -> None:
    data = bytearray(write(*form, duration_s=10.0))
    data[len(data) // 2 : len(data) // 2 + 4_000] = bytes(4_000)
    pcm, clip = audio.decode(bytes(data), LIMITS)
    assert abs(len(pcm) / 16_000 - 10.0) < 0.15
    assert clip.missing_s == 0
    assert clip.gaps
    for start, end in clip.gaps:
        inner = pcm[int(start * 16_000) + 400 : int(end * 16_000) - 400]
        assert not inner.any()
    assert any("not in the file" in warning for warning in clip.warnings)
    with pytest.raises(InvalidRequest, match="damaged"):
        audio.decode(bytes(data), LIMITS, audio.Choice(is_strict=True))


@pytest.mark.parametrize("num_bytes", [1, 3, 50, 5_000])
@pytest.mark.parametrize("place", [0.2, 0.45, 0.7])
def test_a_damaged_flac_loses_the_frames_that_were_hit_and_nothing_moves(
    num_bytes: int, place: float
) -> None:
    """A frame is 72 ms; noise, so that what does not lie where it did shows."""
    data = bytearray(flac(NOISE))
    whole, _ = audio.decode(bytes(data), LIMITS)
    first = int(len(data) * place)
    for index in range(first, first + num_bytes):
        data[index] ^= 0x55
    pcm, clip = audio.decode(bytes(data), LIMITS)
    assert len(pcm) == len(whole) == len(NOISE)
    ((start, end),) = clip.gaps
    assert 0.07 < end - start < 0.08 + 2 * 0.072 * num_bytes / 2_000
    hit = np.flatnonzero(pcm != whole)
    assert start - 0.073 <= hit[0] / 16_000
    assert hit[-1] / 16_000 <= end
    assert "the file is damaged: some of its samples are lost" in clip.warnings
    with pytest.raises(InvalidRequest, match="samples are lost"):
        audio.decode(bytes(data), LIMITS, audio.Choice(is_strict=True))


def test_the_end_that_a_flac_lacks_is_told_to_the_frame() -> None:
    data = flac(NOISE)
    for num_missing in (1, 500):
        pcm, clip = audio.decode(data[:-num_missing], LIMITS)
        assert 0 < clip.missing_s < 0.2
        assert len(pcm) / 16_000 + clip.missing_s == pytest.approx(len(NOISE) / 16_000, abs=0.001)
        assert "cut off" in clip.warnings[0]


@pytest.mark.parametrize("num_bytes", [1, 40, 1_000, 9_000])
@pytest.mark.parametrize("tag_bytes", [0, 6_000_000])
def test_what_follows_damage_in_raw_aac_keeps_its_time(num_bytes: int, tag_bytes: int) -> None:
    whole, data = aac(tag_bytes)
    byte_s = 10.0 / (len(data) - tag_bytes)
    first = len(data) - 60_000
    for index in range(first, first + num_bytes):
        data[index] ^= 0x55
    pcm, clip = audio.decode(bytes(data), LIMITS)
    frame = 1024
    ((start, end),) = clip.gaps
    assert len(pcm) == pytest.approx(len(whole), abs=2 * frame)
    assert end - start == pytest.approx(num_bytes * byte_s, abs=3 * frame / 16_000)
    assert not pcm[int(start * 16_000) + 400 : int(end * 16_000) - 400].any()
    assert np.array_equal(pcm[: int(start * 16_000) - frame], whole[: int(start * 16_000) - frame])
    assert np.array_equal(pcm[-40 * frame :], whole[-40 * frame :])
    assert "the file is damaged: 1 packets cannot be decoded" in clip.warnings
    with pytest.raises(InvalidRequest, match="damaged"):
        audio.decode(bytes(data), LIMITS, audio.Choice(is_strict=True))


def test_raw_aac_whose_end_is_damaged_has_silence_there() -> None:
    whole, data = aac(0)
    data[-4_000:] = bytes(4_000)
    pcm, clip = audio.decode(bytes(data), LIMITS)
    assert len(pcm) == pytest.approx(len(whole), abs=2_048)
    assert clip.gaps[0][1] == pytest.approx(len(pcm) / 16_000, abs=0.001)


NOISE = np.random.default_rng(3).integers(-3_000, 3_000, 8 * 16_000).astype(np.int16)


def flac(pcm: np.ndarray) -> bytes:
    with tempfile.NamedTemporaryFile() as out:
        with av.open(out.name, "w", format="flac") as file:
            stream = file.add_stream("flac", rate=16_000, layout="mono")
            for part in frames(pcm, 16_000, 1, stream):
                file.mux(stream.encode(part))
            file.mux(stream.encode(None))
        return Path(out.name).read_bytes()


def aac(tag_bytes: int) -> tuple[np.ndarray, bytearray]:
    """10 s of 64 kbit/s behind a tag (ID3v2), and what they decode to."""
    data = write("adts", "aac", 16_000, 1, {}, duration_s=10.0)
    size = bytes((tag_bytes >> shift) & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\4\0\0" + size + bytes(tag_bytes) if tag_bytes else b""
    return audio.decode(data, LIMITS)[0], bytearray(tag + data)

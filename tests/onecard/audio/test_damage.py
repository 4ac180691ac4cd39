"""Files that are cut off or damaged are worth what they hold, and say what is missing."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from onecard import audio
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, tone, wav, write

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

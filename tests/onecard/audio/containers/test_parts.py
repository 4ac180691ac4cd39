"""Several recordings in a file, and WAV headers that count wrong: all that is there is heard."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from onecard import audio
from onecard.audio.containers import parts
from tests.onecard.audio.sounds import LIMITS, tone, wav, write

JOINED = [
    ("wav", "pcm_s16le", 44_100, 2, {}),
    ("aiff", "pcm_s16be", 16_000, 1, {}),
    ("flac", "flac", 48_000, 1, {}),
    ("mp3", "libmp3lame", 44_100, 2, {}),
    ("ogg", "libopus", 48_000, 1, {}),
    ("adts", "aac", 44_100, 1, {}),
    ("mp4", "aac", 44_100, 2, {}),
    ("mp4", "aac", 44_100, 2, {"movflags": "faststart"}),
    ("mp4", "aac", 44_100, 1, {"movflags": "frag_keyframe+empty_moov"}),
    ("matroska", "libopus", 48_000, 1, {}),
    ("webm", "libopus", 48_000, 1, {}),
]


@pytest.mark.parametrize("form", JOINED, ids=lambda form: form[0])
@pytest.mark.parametrize("num_parts", [2, 3])
def test_recordings_one_behind_the_other_are_all_heard(form, num_parts: int) -> None:
    pcm, clip = audio.decode(write(*form, duration_s=2.0) * num_parts, LIMITS)
    assert abs(clip.duration_s - 2.0 * num_parts) < 0.1 * num_parts
    quarter = len(pcm) // (4 * num_parts)
    for part in np.array_split(pcm, num_parts):
        assert np.abs(part[quarter : 3 * quarter]).max() > 5_000
    assert not clip.gaps
    assert clip.missing_s == 0


def test_recordings_of_different_forms_are_all_heard() -> None:
    both = wav(tone(1.0, 16_000)) + wav(np.repeat(tone(1.0, 44_100), 2), 44_100, 2)
    pcm, clip = audio.decode(both, LIMITS)
    assert abs(len(pcm) - 32_000) < 20
    assert "2 recordings" in clip.warnings[0]


def test_streamed_wavs_one_behind_the_other_are_all_heard() -> None:
    part = bytearray(wav(tone(1.0, 16_000)))
    part[4:8] = part[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert len(audio.decode(bytes(part) * 3, LIMITS)[0]) == 48_000


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_samples_that_a_wav_does_not_count_are_heard(share: float) -> None:
    pcm = tone(2.0, 16_000)
    data = bytearray(wav(pcm))
    data[40:44] = struct.pack("<I", int(len(pcm) * share) * 2)
    decoded, clip = audio.decode(bytes(data), LIMITS)
    assert np.array_equal(decoded, pcm)
    assert share == 0.0 or any("header leaves out" in warning for warning in clip.warnings)


@pytest.mark.parametrize(
    "tail",
    [
        b"LIST" + struct.pack("<I", 8_000) + bytes(range(250)) * 32,
        b"ID3\x03\x00\x00\x00\x00\x3f\x76" + bytes(8_182),
        bytes(10_000),
        b"bext"
        + struct.pack("<I", 6_000)
        + b"x" * 6_000
        + b"iXML"
        + struct.pack("<I", 4)
        + b"abcd",
    ],
    ids=["LIST", "ID3", "zeros", "bext"],
)
def test_tags_behind_the_samples_are_no_sound(tail: bytes) -> None:
    pcm = tone(2.0, 16_000)
    decoded, clip = audio.decode(wav(pcm) + tail, LIMITS)
    assert np.array_equal(decoded, pcm)
    assert clip.warnings == ()


def test_a_file_of_headers_is_read_in_bounded_parts() -> None:
    found = parts.split(wav(tone(0.001, 16_000)) * 5_000)
    assert len(found) == parts.MAX_PARTS
    assert found[-1].end == 5_000 * len(wav(tone(0.001, 16_000)))


def test_a_window_is_a_file_of_its_own() -> None:
    window = parts.window(b"0123456789", parts.Part(2, 7))
    assert window.read() == b"23456"
    assert window.seek(-2, 2) == 3
    assert window.read(10) == b"56"
    assert window.seek(1) == 1
    assert window.read(2) == b"34"
    assert window.tell() == 3

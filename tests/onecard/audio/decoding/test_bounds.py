"""Small files that would be large inside, and numbers in headers that nobody could mean."""

from __future__ import annotations

import contextlib
import io
import struct
from collections import deque

import av
import numpy as np
import pytest

from onecard import audio
from onecard.audio import pcm
from onecard.audio.decoding import mixdown
from onecard.audio.decoding.media import Media
from onecard.audio.decoding.mixdown import Mixdown, Treatment
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, tone, wav, write


def refused(data: bytes, limits: audio.Limits = LIMITS) -> str:
    with pytest.raises(InvalidRequest) as caught:
        audio.decode(data, limits)
    return str(caught.value)


@pytest.mark.parametrize("rate", [1, 999, 768_001, 10_000_019, 240_000_017, 2_147_483_647])
def test_a_rate_of_no_recording_is_refused(rate: int) -> None:
    data = bytearray(wav(tone(0.1, 16_000)))
    data[24:32] = struct.pack("<II", rate, min(2 * rate, 0xFFFFFFFF))
    data[40:44] = struct.pack("<I", 0xFFFFFFFF)  # streamed: it declares no duration
    found = refused(bytes(data) + bytes(200), audio.Limits(21_600.0, 1 << 20))
    assert f"has {rate} samples a second, must have 1000 to 768000" in found


@pytest.mark.parametrize("rate", [pcm.MIN_RATE, 384_000, pcm.MAX_RATE])
def test_every_rate_of_a_recording_is_served(rate: int) -> None:
    assert abs(len(audio.decode(wav(tone(1.0, rate), rate), LIMITS)[0]) - 16_000) < 200


@pytest.mark.parametrize("changed", range(8, 18))
@pytest.mark.parametrize("value", [0x00, 0x3F, 0x7F, 0x80, 0xFF])
def test_a_damaged_head_of_an_aiff_is_heard_or_refused(changed: int, value: int) -> None:
    """Its rate is a float of 80 bits, which may be any number and none."""
    data = bytearray(write("aiff", "pcm_s16be", 16_000, 1, {}, duration_s=0.2))
    start = data.index(b"COMM") + 8
    data[start + changed % 18] = value
    with contextlib.suppress(InvalidRequest):
        audio.decode(bytes(data), LIMITS)


def frame(rate: int, layout: str = "mono", num_samples: int = 64) -> av.AudioFrame:
    made = av.AudioFrame(format="s16", layout=layout, samples=num_samples)
    for plane in made.planes:
        plane.update(bytes(plane.buffer_size))
    made.sample_rate = rate
    return made


def test_a_rate_that_changes_all_the_time_is_refused() -> None:
    mixing = Mixdown(Treatment(), audio.Blocks())
    found = [frame(700_001 + number % 2) for number in range(200)]
    with pytest.raises(InvalidRequest, match="changes its sample rate or its channels"):
        deque(map(mixing.push, found))
    assert mixing._num_changes <= mixdown._MAX_CHANGES * 2


def test_a_rate_that_changes_now_and_then_is_served() -> None:
    sink = audio.Blocks()
    mixing = Mixdown(Treatment(), sink)
    for number in range(100):
        mixing.push(frame((44_100, 48_000)[number % 2], num_samples=9_600))
    mixing.end()
    assert abs(len(sink.pcm()) / 16_000 - 20.9) < 0.2


class Largest(audio.Blocks):
    def __init__(self) -> None:
        super().__init__()
        self.size = self.num_samples = 0

    def write(self, block: np.ndarray) -> None:
        self.size = max(self.size, len(block))
        self.num_samples += len(block)


def test_silence_of_hours_is_made_in_parts() -> None:
    sink = Largest()
    mixing = Mixdown(Treatment(), sink)
    mixing.silence(3 * 3600.5)
    assert sink.num_samples == 3 * 3600.5 * 16_000
    assert sink.size <= 10 * 16_000


def silent_tracks(num_tracks: int) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        tracks = [file.add_stream("pcm_s16le", rate=16_000) for _ in range(num_tracks)]
        for track in tracks:
            file.mux(track.encode(frame(16_000, num_samples=1_600)))
    return out.getvalue()


def test_so_many_silent_tracks_are_listened_to_and_no_more(monkeypatch) -> None:
    heard = []
    run = Media.run

    def counted(self, track, *rest):
        heard.append(track)
        return run(self, track, *rest)

    monkeypatch.setattr(Media, "run", counted)
    _, clip = audio.decode(silent_tracks(60), LIMITS)
    assert clip.num_tracks == 60
    assert len(heard) <= 34
    assert max(len(warning) for warning in clip.warnings) < 700


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, -1e38])
@pytest.mark.parametrize("channels", [2, 3])
def test_samples_that_no_recording_has_spoil_nothing_else(value: float, channels: int) -> None:
    """NumPy's warnings about them are errors here; one sample of a float file is such a value."""
    sound = np.repeat(tone(2.0, 16_000) / 3e6, channels).reshape(-1, channels)
    sound[5_000, 0] = value
    header = bytearray(wav(np.zeros(0, np.int16), channels=channels)[:36])
    header[20:22] = struct.pack("<H", 3)  # of floats
    header[28:36] = struct.pack("<IHH", 16_000 * 8 * channels, 8 * channels, 64)
    data = bytes(header) + b"data" + struct.pack("<I", sound.size * 8) + sound.tobytes()
    found, clip = audio.decode(data, LIMITS)
    assert clip.codec == "pcm_f64le"
    assert abs(len(found) - 32_000) < 10
    assert np.abs(found[8_000:]).max() > 30

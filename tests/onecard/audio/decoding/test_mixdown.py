"""No channel with sound is lost in the mix, whatever FFmpeg takes it for."""

from __future__ import annotations

import numpy as np
import pytest

from onecard import audio
from tests.onecard.audio.sounds import LIMITS, tone, wav, write


def recorded(*channels: np.ndarray) -> bytes:
    return wav(np.stack(channels, 1).astype(np.int16), 16_000, len(channels))


def voice(seed: int, duration_s: float = 2.0) -> np.ndarray:
    """Noise of the loudness and width of speech."""
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.normal(0, 1, int(duration_s * 16_000)), np.ones(6) / 6, "same")
    return smooth * 6_000


def share(pcm: np.ndarray, channel: np.ndarray) -> float:
    """How much of `channel` is in the mix, as a correlation."""
    return float(np.corrcoef(pcm[: len(channel)], channel[: len(pcm)])[0, 1])


@pytest.mark.parametrize(
    ("num_channels", "at"),
    [
        (3, 3),
        (4, 4),
        (5, 1),
        (6, 4),
        (8, 4),
        (9, 1),
        (16, 13),
        (16, 16),
        (24, 24),
        (30, 1),
        (64, 7),
    ],
)
def test_one_microphone_of_many_is_heard(num_channels: int, at: int) -> None:
    quiet = np.zeros(32_000)
    channels = [quiet] * num_channels
    channels[at - 1] = voice(1)
    pcm, clip = audio.decode(recorded(*channels), LIMITS)
    assert share(pcm, voice(1)) > 0.99
    assert clip.channels == num_channels


@pytest.mark.parametrize("num_channels", [3, 8, 12, 30])
def test_every_microphone_is_in_the_mix(num_channels: int) -> None:
    voices = [voice(number) for number in range(num_channels)]
    pcm, _ = audio.decode(recorded(*voices), LIMITS)
    assert min(share(pcm, one) for one in voices) > 0.7 / num_channels**0.5


def test_a_subwoofer_stays_out() -> None:
    rumble = tone(2.0, 16_000, hz=40.0)
    front = voice(2)
    pcm, clip = audio.decode(recorded(front, front, front, rumble, front, front), LIMITS)
    assert abs(share(pcm, rumble)) < 0.05
    assert clip.warnings == ()


def test_channels_in_opposite_phase_do_not_cancel() -> None:
    for noise in (0.0, 300.0):
        left = voice(3) + np.random.default_rng(0).normal(0, noise, 32_000)
        pcm, clip = audio.decode(recorded(left, -0.9 * voice(3)), LIMITS)
        assert share(pcm, left) > 0.99
        assert "opposite phase" in clip.warnings[0]


@pytest.mark.parametrize(
    "right",
    [voice(4), voice(5), np.zeros(32_000), 0.1 * voice(4)],
    ids=["same", "other", "0", "10"],
)
def test_ordinary_stereo_is_the_usual_mix_bit_for_bit(right: np.ndarray) -> None:
    left = voice(4)
    pcm, clip = audio.decode(recorded(left, right), LIMITS)
    usual = (left.astype(np.int16).astype(int) + right.astype(np.int16).astype(int)) / 2
    assert np.abs(pcm - usual).max() <= 1
    assert clip.warnings == ()


def test_many_channels_of_a_codec_of_planes() -> None:
    data = write("mp4", "aac", 48_000, 6, {})
    assert len(audio.decode(data, LIMITS)[0]) > 60_000


def test_raw_pcm_of_many_channels() -> None:
    channels = np.zeros((16_000, 40), np.int16)
    channels[:, 3] = voice(6, 1.0)
    sink = audio.Blocks()
    clip = audio.decode_raw(channels.tobytes(), "pcm_s16le", 16_000, 40, LIMITS, sink)
    assert share(sink.pcm(), voice(6, 1.0)) > 0.99
    assert "no usual mix" in clip.warnings[0]

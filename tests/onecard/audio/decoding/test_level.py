"""Speech far below the level of recordings is raised, hum and offsets go; the rest is untouched."""

from __future__ import annotations

import numpy as np
import pytest

from onecard import audio
from tests.onecard.audio.sounds import LIMITS, SAMPLES_JFK, tone, wav


def speech() -> np.ndarray:
    return audio.decode(SAMPLES_JFK.read_bytes(), LIMITS)[0].astype(float)


def level_db(pcm: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean((pcm / 32_768) ** 2)) + 1e-9))


@pytest.mark.parametrize("down_db", [0, 10, 20, 25])
def test_ordinary_levels_are_untouched(down_db: float) -> None:
    pcm = (speech() * 10 ** (-down_db / 20)).astype(np.int16)
    decoded, clip = audio.decode(wav(pcm), LIMITS)
    assert np.array_equal(decoded, pcm)
    assert clip.warnings == ()


@pytest.mark.parametrize("down_db", [40, 50, 60])
def test_faint_speech_is_raised_to_an_ordinary_level(down_db: float) -> None:
    floats = (speech() / 32_768 * 10 ** (-down_db / 20)).astype("<f4")
    sink = audio.Blocks()
    clip = audio.decode_raw(floats.tobytes(), "pcm_f32le", 16_000, 1, LIMITS, sink)
    raised = sink.pcm()
    assert -30 < level_db(raised) < -15
    assert np.corrcoef(raised, speech())[0, 1] > 0.999
    assert np.abs(raised).max() < 32_768
    assert "made" in clip.warnings[0]


@pytest.mark.parametrize("hz", [50.0, 60.0])
def test_a_hum_as_loud_as_the_speech_is_taken_out(hz: float) -> None:
    clean = speech() * 0.3
    hum = tone(len(clean) / 16_000 + 1, 16_000, hz)[: len(clean)] * 2.0
    decoded, clip = audio.decode(wav((clean + hum).astype(np.int16)), LIMITS)
    left = np.abs(np.fft.rfft(decoded))[int(hz * len(decoded) / 16_000)]
    before = np.abs(np.fft.rfft(hum))[int(hz * len(hum) / 16_000)]
    assert left < before / 10
    assert "hum" in clip.warnings[0]


def test_a_rumble_no_louder_than_the_speech_stays() -> None:
    """Rooms and handled microphones have it, and speech is recognized better with it."""
    clean = speech() * 0.3
    hum = tone(len(clean) / 16_000 + 1, 16_000, 40.0)[: len(clean)].astype(np.float64)
    hum *= np.std(clean) / np.std(hum)
    pcm = (clean + hum).astype(np.int16)
    decoded, clip = audio.decode(wav(pcm), LIMITS)
    assert np.array_equal(decoded, pcm)
    assert clip.warnings == ()


def test_an_offset_is_taken_out() -> None:
    decoded, _ = audio.decode(wav((speech() * 0.4 + 12_000).astype(np.int16)), LIMITS)
    assert abs(float(np.mean(decoded[16_000:]))) < 50


def test_faint_speech_under_an_offset_is_raised_as_well() -> None:
    floats = (speech() / 32_768 * 0.001 + 0.25).astype("<f4")
    sink = audio.Blocks()
    audio.decode_raw(floats.tobytes(), "pcm_f32le", 16_000, 1, LIMITS, sink)
    assert level_db(sink.pcm()[16_000:]) > -35


@pytest.mark.parametrize("amplitude", [0, 1, 3])
def test_silence_and_dither_stay_what_they_are(amplitude: int) -> None:
    noise = np.random.default_rng(0).integers(-amplitude, amplitude + 1, 64_000).astype(np.int16)
    decoded, clip = audio.decode(wav(noise), LIMITS)
    assert np.array_equal(decoded, noise)
    assert clip.warnings == ()


def test_a_loud_word_in_a_long_quiet_recording_is_not_raised() -> None:
    noise = np.random.default_rng(0).normal(0, 20, 16_000 * 30)
    noise[16_000:48_000] += speech()[:32_000]
    pcm = noise.astype(np.int16)
    decoded, clip = audio.decode(wav(pcm), LIMITS)
    assert np.array_equal(decoded, pcm)
    assert clip.warnings == ()

"""Features against three implementations that Whisper is run with elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from transformers import WhisperFeatureExtractor
from whisperx.audio import log_mel_spectrogram, mel_filters

from onecard import audio
from onecard.whisper import mel

# Values lie within [-2, 2], where half precision rounds by at most 2**-11.
HALF_PRECISION = 2.0**-11 + 1e-6


@pytest.fixture(scope="module")
def speech(conversation: Path) -> np.ndarray:
    return audio.decode(conversation.read_bytes(), audio.Limits(60.0, 1 << 28))[0]


def references(pcm: np.ndarray, num_mels: int) -> dict[str, np.ndarray]:
    waveform = audio.to_float(pcm)
    padding = mel.NUM_SAMPLES - len(pcm)
    openai = log_mel_spectrogram(waveform, num_mels, padding=padding).numpy()
    faster_whisper = FeatureExtractor(num_mels)(np.pad(waveform, (0, padding)), padding=0)
    transformers = WhisperFeatureExtractor(num_mels)(waveform, sampling_rate=16_000)
    return {
        "openai": openai.T,
        "faster-whisper": faster_whisper.T,
        "transformers": transformers["input_features"][0].T,
    }


@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize("num_samples", [480_000, 123_457, 1])
def test_features_equal_the_references(speech: np.ndarray, num_mels: int, num_samples: int) -> None:
    pcm = speech[-num_samples:]
    found = mel.log_mel(pcm, num_mels)
    assert found.shape == (3_000, num_mels)
    assert found.dtype == np.float16
    for name, wanted in references(pcm, num_mels).items():
        assert np.abs(found - wanted).max() <= HALF_PRECISION, name


@pytest.mark.parametrize("num_mels", [80, 128])
def test_filters_equal_openais_file(num_mels: int) -> None:
    assert np.abs(mel.filters(num_mels) - mel_filters("cpu", num_mels).numpy()).max() < 1e-8


def test_a_chunk_longer_than_the_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match="480001 samples"):
        mel.log_mel(np.zeros(480_001, np.int16), 80)

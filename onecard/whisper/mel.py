"""Log-mel features of a chunk, as OpenAI's Whisper was trained on them.

Source: openai/whisper, whisper/audio.py, `log_mel_spectrogram`. The waveform is padded with zeros
to 30 s before the transform: padding the features instead raises the word error rate (measured in
SYSTRAN/faster-whisper, pull request 1084).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.audio import SAMPLE_RATE, Pcm, to_float
from onecard.contract.whisper import CHUNK_S, NUM_FRAMES

NUM_SAMPLES = CHUNK_S * SAMPLE_RATE

_FFT = 400
_HOP = 160
_LOG_FLOOR = 1e-10
# log10 units: everything quieter than the loudest bin by more than this is raised to it.
_DYNAMIC_RANGE = 8.0

# Slaney's mel scale (Auditory Toolbox, 1998; librosa.filters.mel with its defaults): linear up to
# 1 kHz, then 27 logarithmic steps per factor of 6.4.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1_000.0
_LOG_STEP = np.log(6.4) / 27.0

Features = npt.NDArray[np.float16]
FloatArray = npt.NDArray[np.floating[Any]]


def log_mel(pcm: Pcm, num_mels: int) -> Features:
    """Features [NUM_FRAMES, num_mels] of a chunk of at most `NUM_SAMPLES` samples.

    Raises:
        ValueError: the chunk is longer than the encoder's 30 s.
    """
    if len(pcm) > NUM_SAMPLES:
        raise ValueError(
            f"chunk has {len(pcm)} samples, the encoder takes {NUM_SAMPLES}; cut it before"
        )
    waveform = np.zeros(NUM_SAMPLES + _FFT, np.float32)
    half = _FFT // 2
    waveform[half : half + len(pcm)] = to_float(pcm)
    # Centred frames, mirrored at both ends.
    waveform[:half] = waveform[half + 1 : _FFT + 1][::-1]
    waveform[-half:] = waveform[-_FFT - 1 : -half - 1][::-1]
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _FFT)[::_HOP][:NUM_FRAMES]
    power = np.abs(np.fft.rfft(frames * _window())) ** 2  # [frames, bins]
    mel = power.astype(np.float32) @ filters(num_mels).T
    log = np.log10(np.maximum(mel, _LOG_FLOOR))
    log = np.maximum(log, log.max() - _DYNAMIC_RANGE)
    features: Features = ((log + 4.0) / 4.0).astype(np.float16)
    return features


@cache
def filters(num_mels: int) -> npt.NDArray[np.float32]:
    """[num_mels, bins] triangles over the Fourier bins, each of equal area."""
    bins = np.fft.rfftfreq(_FFT, 1.0 / SAMPLE_RATE)
    top = _to_mel(SAMPLE_RATE / 2)
    edges = _to_hz(np.linspace(0.0, top, num_mels + 2))
    widths = np.diff(edges)
    slopes = edges[:, None] - bins
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges[2:] - edges[:-2])
    weights: npt.NDArray[np.float32] = (triangles * area[:, None]).astype(np.float32)
    return weights


def _to_mel(hz: float) -> float:
    """The mel of a frequency above the break between the linear and the logarithmic part."""
    return float(_BREAK_HZ / _HZ_PER_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _to_hz(mel: FloatArray) -> FloatArray:
    above = mel - _BREAK_HZ / _HZ_PER_MEL
    return np.where(above < 0, mel * _HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * above))


@cache
def _window() -> npt.NDArray[np.float32]:
    return np.hanning(_FFT + 1)[:-1].astype(np.float32)

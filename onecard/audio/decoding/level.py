"""Measures how loud a recording is and how much of it lies below speech, and corrects either.

Models expect speech at the level of ordinary recordings. Speech far below it, or on a strong hum or
offset, is brought there. Everything else stays as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.audio.pcm import PCM_SCALE, Pcm
from onecard.contract.whisper import SAMPLE_RATE

_BLOCK = SAMPLE_RATE // 2  # samples of which the level is one
_NUM_AT_ONCE = 20  # blocks, so that little is done for each frame
_DITHER = 4  # of 32768
# Below it there is no speech (the deepest voices have 75 Hz), but mains hum, wind and offsets.
LOW_HZ = 70.0
# Of the loudest blocks; those of nearly all recordings are above -40.
MIN_SPEECH_DB = -50.0
SPEECH_DB = -23.0  # of broadcasts (EBU R 128)
MAX_GAIN_DB = 60.0
# What is below is a silent file and the noise of 16 bits.
SILENCE_DB = -86.0
# 1 is full scale; mixers of floats go beyond it, by far less than this.
LOUDEST = 1e6
# Power below LOW_HZ relative to the power above it. Clean speech has about 0.01. Rooms and handled
# microphones have up to 1, and models hear them better as they are. From 7 on, no speech is
# detected.
MAX_LOW_SHARE = 2.0
# A Butterworth filter: 50 Hz loses 37 dB, 60 Hz 24 dB, 120 Hz nothing.
_HIGH_PASS_ORDER, _HIGH_PASS_HZ = 8, 85.0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Correction:
    """A correction of samples for the models; without gain or filter nothing is changed."""

    gain_db: float = 0.0
    has_high_pass: bool = False


NO_CORRECTION = Correction()


@dataclass
class Meter:
    """Measures 16 kHz samples as they come.

    Attributes:
        peak: the largest value so far, of 32768.
    """

    peak: int = 0
    _rest: list[Pcm] = field(default_factory=list)
    _num_rest: int = 0
    _powers: list[Floats] = field(default_factory=list)  # [blocks, 3]: low, above, peak

    def push(self, block: Pcm) -> None:
        self._rest.append(block)
        self._num_rest += len(block)
        if self._num_rest >= _NUM_AT_ONCE * _BLOCK:
            self._measure()

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing that anybody could hear."""
        self._measure()
        return self.peak <= _DITHER

    def correction(self) -> Correction:
        """The correction that the recording as a whole needs."""
        if self.is_silent:
            return NO_CORRECTION
        if not self._powers:
            self._powers.append(_powers(self._rest[0][None]))
        low, above, peak = np.concatenate(self._powers).T
        loud = above >= np.quantile(above, 0.8)
        has_low = float(np.median(low[loud])) > MAX_LOW_SHARE * float(np.median(above[loud]))
        level_db = 10 * np.log10(float(np.quantile(above, 0.99)) + 1e-12)
        gain_db = 0.0
        if SILENCE_DB < level_db < MIN_SPEECH_DB:
            gain_db = min(SPEECH_DB - level_db, MAX_GAIN_DB)
            if not has_low:  # else the peaks are those of what is taken out
                gain_db = min(gain_db, -20 * np.log10(max(float(np.quantile(peak, 0.99)), 1e-6)))
        return Correction(round(float(max(0.0, gain_db)), 1), has_low)

    def _measure(self) -> None:
        """Take in all whole blocks; the rest waits for more."""
        samples = np.concatenate([np.zeros(0, np.int16), *self._rest])
        num_blocks = len(samples) // _BLOCK
        if len(samples):
            self.peak = max(self.peak, int(samples.max()), -int(samples.min()))
        if num_blocks:
            self._powers.append(_powers(samples[: num_blocks * _BLOCK].reshape(-1, _BLOCK)))
        self._rest = [samples[num_blocks * _BLOCK :]]
        self._num_rest = len(self._rest[0])


def _powers(blocks: Pcm) -> Floats:
    """[blocks, 3] of [blocks, n]: the power below LOW_HZ and above, and the peak."""
    values = blocks.astype(np.float32) / np.float32(PCM_SCALE)
    num_samples = values.shape[1]
    power = np.abs(np.fft.rfft(values, axis=1)) ** 2 * 2 / num_samples**2
    power[:, 0] /= 2
    first = int(LOW_HZ * num_samples / SAMPLE_RATE)
    columns = power[:, :first].sum(1), power[:, first:].sum(1), np.abs(values).max(1)
    return np.asarray(np.stack(columns, 1), np.float32)


class Corrector:
    """Applies a correction to floats at 16 kHz, block by block."""

    def __init__(self, correction: Correction) -> None:
        self._gain = 10 ** (correction.gain_db / 20)
        self._filter = _high_pass() if correction.has_high_pass else None

    def apply(self, values: Floats) -> Pcm:
        """[n] in [-1, 1) to [n] samples."""
        values = finite(values)
        passed = values if self._filter is None else self._filter(values)
        scaled = np.rint(passed * (self._gain * PCM_SCALE))
        return np.asarray(np.clip(scaled, -PCM_SCALE, PCM_SCALE - 1), np.int16)


def finite(values: npt.NDArray[Any]) -> Floats:
    """Floats as they are; what no recording has (infinite, no number, beyond LOUDEST) is bounded.

    A filter would keep what is no number for the rest of the recording.
    """
    bounded = np.clip(np.nan_to_num(values, nan=0.0), -LOUDEST, LOUDEST)
    return np.asarray(bounded, np.float32)


def _high_pass() -> Callable[[Floats], Floats]:
    """A filter that goes on where its last block ended."""
    import scipy.signal  # seldom needed, and as large as all else in this process

    sections = scipy.signal.butter(
        _HIGH_PASS_ORDER, _HIGH_PASS_HZ, "highpass", fs=SAMPLE_RATE, output="sos"
    )
    state = np.zeros((len(sections), 2))

    def apply(values: Floats) -> Floats:
        nonlocal state
        found, state = scipy.signal.sosfilt(sections, values, zi=state)
        return np.asarray(found, np.float32)

    return apply

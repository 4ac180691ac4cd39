"""How loud a recording is and how much of it lies below speech; what is done about either.

Models expect speech at the level of ordinary recordings. What is far below it, or lies on a strong
hum or offset, is brought there; everything else stays as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from onecard.audio.pcm import PCM_SCALE, SAMPLE_RATE, Pcm

BLOCK_S = 0.5  # of what is measured at once
# Below it there is no speech (the deepest voices have 75 Hz), but mains hum, wind and offsets.
LOW_HZ = 70.0
# Of the loudest blocks; those of nearly all recordings are above -40.
MIN_SPEECH_DB = -50.0
SPEECH_DB = -23.0  # of broadcasts (EBU R 128)
MAX_GAIN_DB = 60.0
# What is below is a silent file and the noise of 16 bits.
SILENCE_DB = -86.0
# Of what lies below LOW_HZ beside what lies above, in power; clean speech has about 0.01.
MAX_LOW_SHARE = 0.3
# A Butterworth filter: 50 Hz loses 37 dB, 60 Hz 24 dB, 120 Hz nothing.
_HIGH_PASS_ORDER, _HIGH_PASS_HZ = 8, 85.0

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Correction:
    """What makes samples fit for the models; without either, nothing is touched."""

    gain_db: float = 0.0
    has_high_pass: bool = False


@dataclass
class Meter:
    """Measures 16 kHz samples as they come.

    Attributes:
        peak: the largest value so far, of 32768.
    """

    peak: int = 0
    _rest: list[Pcm] = field(default_factory=list)
    _num_rest: int = 0
    _powers: list[tuple[float, float, float]] = field(default_factory=list)  # low, above, peak

    def push(self, block: Pcm) -> None:
        if not len(block):
            return
        self.peak = max(self.peak, int(block.max()), -int(block.min()))
        self._rest.append(block)
        self._num_rest += len(block)
        size = int(BLOCK_S * SAMPLE_RATE)
        if self._num_rest >= size:
            samples = np.concatenate(self._rest)
            for start in range(0, len(samples) - size + 1, size):
                self._measure(samples[start : start + size])
            self._rest = [samples[len(samples) // size * size :]]
            self._num_rest = len(self._rest[0])

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing that anybody could hear."""
        return self.peak <= 4  # of 32768: dither

    def correction(self) -> Correction:
        """What the recording as a whole needs."""
        if not self._powers and self._num_rest:
            self._measure(np.concatenate(self._rest))
        if self.is_silent or not self._powers:
            return Correction()
        low, above, peak = np.array(self._powers).T
        loud = above >= np.quantile(above, 0.8)
        has_low = float(np.median(low[loud])) > MAX_LOW_SHARE * float(np.median(above[loud]))
        level_db = 10 * np.log10(float(np.quantile(above, 0.99)) + 1e-12)
        gain_db = 0.0
        if SILENCE_DB < level_db < MIN_SPEECH_DB:
            gain_db = min(SPEECH_DB - level_db, MAX_GAIN_DB)
            if not has_low:  # else the peaks are those of what is taken out
                gain_db = min(gain_db, -20 * np.log10(max(float(np.quantile(peak, 0.99)), 1e-6)))
        return Correction(round(max(0.0, gain_db), 1), has_low)

    def _measure(self, samples: Pcm) -> None:
        values = samples.astype(np.float64) / PCM_SCALE
        power = np.abs(np.fft.rfft(values)) ** 2 * 2 / len(values) ** 2
        first = int(LOW_HZ * len(values) / SAMPLE_RATE)
        power[0] /= 2
        low = float(power[:first].sum())
        self._powers.append((low, float(power[first:].sum()), float(np.abs(values).max())))


class Corrector:
    """Applies a correction to floats at 16 kHz, block by block."""

    def __init__(self, correction: Correction) -> None:
        self._gain = 10 ** (correction.gain_db / 20)
        self._filter = _high_pass() if correction.has_high_pass else None

    def apply(self, values: Floats) -> Pcm:
        """[n] in [-1, 1) to [n] samples."""
        passed = values if self._filter is None else self._filter(values)
        scaled = np.rint(passed * (self._gain * PCM_SCALE))
        return np.clip(scaled, -PCM_SCALE, PCM_SCALE - 1).astype(np.int16)


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

"""Sounds without speech, made from a seed: silence, noise, hum, telephone tones, music."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from evaluation.recordings import RATE, Pcm

Signal = npt.NDArray[np.float64]
Rng = np.random.Generator

# Frequencies in Hz, and seconds on and off in turn: ITU-T E.180, supplement 2.
_CADENCES: Sequence[tuple[tuple[float, ...], tuple[float, ...]]] = (
    ((440, 480), (2, 4)),  # ringing, North America
    ((425,), (1, 4)),  # ringing, most of Europe
    ((400, 450), (0.4, 0.2, 0.4, 2)),  # ringing, Britain
    ((480, 620), (0.5, 0.5)),  # busy, North America
    ((425,), (0.25, 0.25)),  # congestion, most of Europe
    ((350, 440), (1, 0)),  # dial tone, North America
)
_DTMF_ROWS, _DTMF_COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477)  # ITU-T Q.23
# Semitones above the root.
_PROGRESSIONS = (
    ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)),
    ((0, 3, 7), (8, 12, 15), (3, 7, 10), (10, 14, 17)),
    ((0, 4, 7, 11), (5, 9, 12, 16), (2, 5, 9, 12), (7, 11, 14, 17)),
)
_PEAK_DB = (-35.0, -3.0)  # of full scale


def make(kind: str, number: int, duration_s: float) -> Pcm:
    """[N] int16 mono at 16 kHz; the same for the same arguments, another for each `number`."""
    rng = np.random.default_rng([list(KINDS).index(kind), number])
    signal = KINDS[kind](rng, round(duration_s * RATE))
    highest = float(np.abs(signal).max(initial=0.0))
    if highest > 0 and kind != "silence":
        signal = signal * (10 ** (rng.uniform(*_PEAK_DB) / 20) / highest)
    pcm: Pcm = np.rint(signal * 32767).astype(np.int16)
    return pcm


def _silence(rng: Rng, num_samples: int) -> Signal:
    """Zeros, or the last bit of a converter."""
    steps = rng.integers(-1, 2, num_samples) if rng.random() < 0.5 else np.zeros(num_samples)
    return steps / 32767


def _noise(slope: float) -> Callable[[Rng, int], Signal]:
    """Noise whose power falls with the frequency to the power of `slope`."""

    def noise(rng: Rng, num_samples: int) -> Signal:
        spectrum = np.fft.rfft(rng.standard_normal(num_samples))
        frequencies = np.fft.rfftfreq(num_samples, 1 / RATE)
        audible = np.maximum(frequencies, 20.0)
        found: Signal = np.fft.irfft(spectrum * audible ** (-slope / 2), num_samples)
        return found

    return noise


def _hum(rng: Rng, num_samples: int) -> Signal:
    """The mains with its harmonics, above a little noise."""
    mains = rng.choice([50.0, 60.0]) * (1 + rng.uniform(-0.002, 0.002))
    signal = 0.01 * rng.standard_normal(num_samples)
    for harmonic in range(1, 13):
        level = rng.uniform(0.2, 1.0) / harmonic
        signal += level * _tone(mains * harmonic, num_samples, rng.uniform(0, 2 * np.pi))
    return signal


def _ringing(rng: Rng, num_samples: int) -> Signal:
    """One of the tones that one hears while nobody answers."""
    frequencies, cadence = _CADENCES[rng.integers(len(_CADENCES))]
    lengths = np.array([round(seconds * RATE) for seconds in cadence])
    edges = np.cumsum(np.tile(lengths, num_samples // lengths.sum() + 1))
    is_on = np.searchsorted(edges, np.arange(num_samples), side="right") % 2 == 0
    signal: Signal = sum((_tone(f, num_samples) for f in frequencies), np.zeros(num_samples))
    ringing: Signal = signal * is_on + 0.002 * rng.standard_normal(num_samples)
    return ringing


def _dtmf(rng: Rng, num_samples: int) -> Signal:
    """Keys of a telephone, in numbers of 3 to 11 digits with pauses between them."""
    signal = np.zeros(num_samples)
    start = 0
    while start < num_samples:
        length, gap = (round(seconds * RATE) for seconds in rng.uniform(0.06, 0.2, 2))
        for _ in range(rng.integers(3, 12)):
            row, column = rng.choice(_DTMF_ROWS), rng.choice(_DTMF_COLUMNS)
            _add(signal, start, _tone(row, length) + _tone(column, length))
            start += length + gap
        start += round(rng.uniform(0.5, 3.0) * RATE)
    return signal


def _music(rng: Rng, num_samples: int) -> Signal:
    """Chords, a bass, an arpeggio and drums, not all of them in every piece."""
    signal = np.zeros(num_samples)
    beat = round(60 / rng.uniform(70, 150) * RATE)
    root_hz = 110 * 2 ** (rng.integers(12) / 12)
    chords = _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    has_pad, has_arpeggio, has_drums = rng.random(3) < (0.7, 0.7, 0.6)
    if not (has_pad or has_arpeggio or has_drums):
        has_arpeggio = True
    for number, start in enumerate(range(0, num_samples, beat)):
        chord = chords[number // 4 % len(chords)]
        if has_pad and number % 4 == 0:
            for step in chord:
                _add(signal, start, 0.3 * _note(root_hz * 2 ** (step / 12), 4 * beat, 0.8))
            _add(signal, start, 0.6 * _note(root_hz / 2 * 2 ** (chord[0] / 12), 2 * beat, 1.5))
        if has_arpeggio:
            for half in (0, 1):
                step = chord[(2 * number + half) % len(chord)] + 12
                note = _note(root_hz * 2 ** (step / 12), beat // 2, 6.0)
                _add(signal, start + half * beat // 2, 0.4 * note)
        if has_drums:
            _add_drums(signal, start, beat, is_snare=number % 2 == 1, rng=rng)
    return signal


def _add_drums(signal: Signal, start: int, beat: int, is_snare: bool, rng: Rng) -> None:
    """A bass drum or a snare on the beat, a hi-hat on it and half a beat later."""
    times = np.arange(beat // 2) / RATE
    noise = rng.standard_normal((3, len(times)))
    if is_snare:
        _add(signal, start, 0.5 * noise[0] * np.exp(-18 * times))
    else:
        sweep = 2 * np.pi * (50 * times + 100 / 30 * (1 - np.exp(-30 * times)))
        _add(signal, start, np.sin(sweep) * np.exp(-8 * times))
    for half in (0, 1):
        _add(signal, start + half * beat // 2, 0.1 * noise[1 + half] * np.exp(-60 * times))


def _note(frequency_hz: float, num_samples: int, decay: float) -> Signal:
    """A plucked note with its overtones; `decay` in nepers a second."""
    times = np.arange(num_samples) / RATE
    overtones: Signal = sum(
        (_tone(frequency_hz * n, num_samples) / n**1.5 for n in range(1, 6)), np.zeros(num_samples)
    )
    attack = np.minimum(times / 0.01, 1.0)
    release = np.minimum((num_samples / RATE - times) / 0.02, 1.0)
    note: Signal = overtones * attack * release * np.exp(-decay * times)
    return note


def _tone(frequency_hz: float, num_samples: int, phase: float = 0.0) -> Signal:
    tone: Signal = np.sin(2 * np.pi * frequency_hz * np.arange(num_samples) / RATE + phase)
    return tone


def _add(signal: Signal, start: int, part: Signal) -> None:
    """Mix `part` in from `start` on; what reaches beyond the end is left out."""
    room = max(0, min(len(part), len(signal) - start))
    signal[start : start + room] += part[:room]


KINDS: dict[str, Callable[[Rng, int], Signal]] = {
    "silence": _silence,
    "white noise": _noise(0.0),
    "pink noise": _noise(1.0),
    "brown noise": _noise(2.0),
    "hum": _hum,
    "ringing": _ringing,
    "DTMF": _dtmf,
    "music": _music,
}

"""Which 10 ms frames of a segment carry sound, judged by their energy alone.

It only tells silence from the rest, relative to the segment itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from onecard.alignment.units import Timed, Utterance
from onecard.audio import SAMPLE_RATE, Pcm, to_float

FRAME_S = 0.01
_FRAME = int(FRAME_S * SAMPLE_RATE)
_FLOOR_DB = -100.0
# The segment's quiet and loud ends, as percentiles of its frames' energy.
_QUIET_PERCENTILE, _LOUD_PERCENTILE = 5.0, 95.0
# Below this range a segment has no silence that could be told from its speech.
_MIN_RANGE_DB = 12.0
# Silence is the lowest part of the range.
_SILENT_SHARE = 0.25
# A word's end is moved back only over a silence of at least this length, and to this much after
# the last sound, so that closures of stops (up to about 0.15 s) and decays stay with their word.
_MIN_TRIMMED_S = 0.25
_KEPT_S = 0.05

Mask = npt.NDArray[np.bool_]


def sounding(pcm: Pcm) -> Mask:
    """Frames [ceil(N / 160)] that carry sound; all of them where nothing stands out as silence."""
    num_frames = -(-len(pcm) // _FRAME)
    samples = np.zeros(num_frames * _FRAME, np.float32)
    samples[: len(pcm)] = to_float(pcm)
    power = np.square(samples).reshape(num_frames, _FRAME).mean(axis=1)
    energy_db = 10.0 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10)))
    if not num_frames:
        return np.ones(0, bool)
    quiet, loud = np.percentile(energy_db, [_QUIET_PERCENTILE, _LOUD_PERCENTILE])
    if loud - quiet < _MIN_RANGE_DB:
        return np.ones(num_frames, bool)
    mask: Mask = energy_db > quiet + _SILENT_SHARE * (loud - quiet)
    return mask


def trim(utterance: Utterance, times: list[Timed | None]) -> list[Timed | None]:
    """`times` with the ends of words moved back over the silence that follows them.

    An aligner that does not model silence gives it to the word before (WhisperX issues 405, 896).
    Interpolated times have no evidence and stay.
    """
    mask = sounding(utterance.pcm)
    trimmed: list[Timed | None] = []
    for time in times:
        if time is not None and not time.is_interpolated:
            first = max(0, int((time.start_s - utterance.start_s) / FRAME_S))
            last = int((time.end_s - utterance.start_s) / FRAME_S)
            sounds = np.flatnonzero(mask[first:last])
            # A word in which nothing sounds is the aligner's word against the energy's: it stays.
            if len(sounds):
                end_s = utterance.start_s + (first + int(sounds[-1]) + 1) * FRAME_S
                if time.end_s - end_s >= _MIN_TRIMMED_S:
                    time = replace(time, end_s=max(time.start_s, end_s + _KEPT_S))
        trimmed.append(time)
    return trimmed

"""Speech scores to speech regions to chunks that the recognizer can take.

Scores come from `detection.segmentation`, regions also from `detection.silero`.

The rules are WhisperX's (m-bain/whisperX 3.8, whisperx/vads/; Bain et al. 2023), the overlap-add is
pyannote.audio's (core/inference.py, `Inference.aggregate`); tests hold both against the originals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Region = tuple[float, float]  # start_s, end_s

# pyannote.core drops segments shorter than this.
_MIN_REGION_S = 1e-6
MIN_GIVEN_S = 0.02  # of a caller's segment that lies in the recording
# A threshold below every score: all of a clip is speech.
_ALL = -1.0


@dataclass(frozen=True)
class Frames:
    """Where the frames of segmentation scores lie.

    A window of `window_s` starts every `step_s`; within it a frame of `duration_s` every
    `frame_step_s`.
    """

    window_s: float
    step_s: float
    frame_s: float
    frame_step_s: float

    def first(self, window: int) -> int:
        """The frame of the whole clip that the first frame of a window falls on."""
        return round(window * self.step_s / self.frame_step_s)

    def middle_s(self, frame: int) -> float:
        start_s = frame * self.frame_step_s
        return 0.5 * (start_s + (start_s + self.frame_s))


@dataclass(frozen=True)
class Chunk:
    """A stretch for the recognizer: consecutive regions, the silence between them included."""

    start: float
    end: float
    regions: tuple[Region, ...]


def aggregate(scores: FloatArray, frames: Frames, duration_s: float) -> FloatArray:
    """Speech score of each frame of the clip: overlap-add of the highest speaker's scores.

    Args:
        scores: [windows, frames, speakers].
        duration_s: of the clip; the last window reaches beyond it, into zeros.

    Returns:
        [clip_frames], weighted by a Hamming window.
    """
    speech = scores.max(axis=-1)  # [windows, frames]
    num_windows, num_frames = speech.shape
    end_s = frames.window_s + (num_windows - 1) * frames.step_s
    weights = np.hamming(num_frames)
    total = np.zeros(round(end_s / frames.frame_step_s) + 1, np.float32)
    weight = np.zeros_like(total)
    for window in range(num_windows):
        first = frames.first(window)
        total[first : first + num_frames] += speech[window] * weights
        weight[first : first + num_frames] += weights
    average: FloatArray = total / np.maximum(weight, 1e-12)
    if duration_s < end_s:
        average = average[: math.floor(duration_s / frames.frame_step_s) + 1]
    return average


def binarize(
    scores: FloatArray, frames: Frames, onset: float, offset: float, max_region_s: float
) -> list[Region]:
    """Regions of speech by hysteresis: on above `onset`, off below `offset`.

    A region longer than `max_region_s` is cut at its lowest score within the second half.

    Args:
        scores: [clip_frames] of one clip.
    """
    regions: list[Region] = []
    if not len(scores):
        return regions
    times = [frames.middle_s(frame) for frame in range(len(scores))]
    start_s = times[0]
    is_active = bool(scores[0] > onset)
    run = [0]  # frames since the region began, among which a cut is looked for
    for frame in range(1, len(scores)):
        score, now_s = scores[frame], times[frame]
        if not is_active:
            if score > onset:
                start_s, is_active = now_s, True
            continue
        if now_s - start_s > max_region_s:
            half = len(run) // 2
            lowest = half + int(np.argmin(scores[run[half:]]))
            regions.append((start_s, times[run[lowest]]))
            start_s = times[run[lowest]]
            run = run[lowest + 1 :]
        elif score < offset:
            regions.append((start_s, now_s))
            start_s, is_active = now_s, False
            run = []
        run.append(frame)
    if is_active:
        regions.append((start_s, times[-1]))
    return [(start, end) for start, end in regions if end - start > _MIN_REGION_S]


def highest(scores: FloatArray, frames: Frames, region: Region) -> float:
    """The highest score of the frames whose middles lie in `region`; 0 where there is none.

    Args:
        scores: [clip_frames] of one clip.
    """
    middle_s = frames.middle_s(0)
    first, last = (round((time_s - middle_s) / frames.frame_step_s, 3) for time_s in region)
    return float(scores[max(0, math.ceil(first)) : max(0, math.floor(last) + 1)].max(initial=0.0))


def clamp(regions: Sequence[Region], duration_s: float) -> list[Region]:
    """Regions within the clip: the middle of the last frame may lie after its end."""
    return [(start, min(end, duration_s)) for start, end in regions if start < duration_s]


def within(regions: Sequence[Region], spans: Sequence[Region]) -> list[Region]:
    """The parts of regions that lie in `spans`, both in order of time."""
    shared = [
        (max(start, first), min(end, last)) for start, end in regions for first, last in spans
    ]
    return sorted((start, end) for start, end in shared if end - start > _MIN_REGION_S)


def everything(
    scores: FloatArray, frames: Frames, duration_s: float, max_region_s: float
) -> list[Region]:
    """Regions without gaps between them, from a clip's beginning to its end.

    They are cut where the scores are lowest, as `binarize` cuts, none above `max_region_s`.

    Args:
        scores: [clip_frames] of one clip.
    """
    edge_s = frames.frame_s + 2 * frames.frame_step_s  # what no frame's middle reaches at each end
    regions = binarize(scores, frames, _ALL, _ALL, max_region_s - 2 * edge_s)
    cuts = [start for start, _ in regions[1:] if start < duration_s]
    bounds = [0.0, *cuts, duration_s]
    if any(end - start > max_region_s for start, end in pairwise(bounds)):
        return evenly(duration_s, max_region_s)  # scores of a part of the clip
    return list(pairwise(bounds)) if duration_s > 0 else []


def evenly(duration_s: float, max_region_s: float) -> list[Region]:
    """Regions of equal length from a clip's beginning to its end, none above `max_region_s`."""
    num_regions = math.ceil(duration_s / max_region_s)
    bounds = [duration_s * index / num_regions for index in range(num_regions)] + [duration_s]
    return list(pairwise(bounds))


def merge(regions: Sequence[Region], chunk_size_s: float) -> list[Chunk]:
    """Chunks of at most `chunk_size_s` from regions in order of time.

    A region joins the current chunk unless that would then be too long. A single region that is
    longer than `chunk_size_s` becomes a chunk of its own; `binarize` makes none.
    """
    chunks: list[Chunk] = []
    group: list[Region] = []
    for region in regions:
        if group and region[1] - group[0][0] > chunk_size_s:
            chunks.append(_chunk(group))
            group = []
        group.append(region)
    if group:
        chunks.append(_chunk(group))
    return chunks


def given(segments: Sequence[Region], chunk_size_s: float) -> list[Chunk]:
    """A chunk for each of a caller's segments; longer ones are cut evenly."""
    chunks = []
    for start_s, end_s in segments:
        for first_s, last_s in evenly(end_s - start_s, chunk_size_s):
            chunks.append(_chunk([(start_s + first_s, start_s + last_s)]))
    return chunks


def _chunk(group: Sequence[Region]) -> Chunk:
    return Chunk(group[0][0], group[-1][1], tuple(group))

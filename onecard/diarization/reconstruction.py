"""The last step of pyannote's SpeakerDiarization, in a fifth of the memory.

The answers are those of pyannote.audio (utils/signal.py, pipelines/speaker_diarization.py,
pipelines/utils/diarization.py), which makes arrays of [windows, frames, clusters] float64, 190 MiB
each for an hour with twelve speakers.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

with warnings.catch_warnings():
    # torchcodec is left out on purpose: pyannote is handed waveforms, not files.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio.utils.signal import binarize
    from pyannote.core import SlidingWindowFeature

NO_CLUSTER = -2  # pyannote's, of a local speaker who is silent or left out

# Windows at a time: pyannote's binarization needs 50 bytes a score.
_PART = 64
# Frames at a time whose speakers are ranked, by indices of 8 bytes.
_RANKED = 1 << 13


class WindowScores(SlidingWindowFeature):
    """[windows, frames, speakers] that pyannote's `binarize` takes in parts, to booleans."""


def _binarized(scores: WindowScores, *args: Any, **kwargs: Any) -> SlidingWindowFeature:
    found = np.empty(scores.data.shape, bool)
    for first in range(0, len(found), _PART):
        part = SlidingWindowFeature(scores.data[first : first + _PART], scores.sliding_window)
        found[first : first + _PART] = binarize(part, *args, **kwargs).data
    return SlidingWindowFeature(found, scores.sliding_window)


binarize.register(WindowScores, _binarized)


def reconstruct(
    scores: SlidingWindowFeature, clusters: npt.NDArray[Any], count: SlidingWindowFeature
) -> SlidingWindowFeature:
    """Mark who speaks in each frame: as many as `count` says, the most active first.

    Args:
        scores: [windows, frames, speakers]
        clusters: [windows, speakers], of each local speaker, or NO_CLUSTER.
        count: [recording's frames, 1]

    Returns:
        [recording's frames, clusters], boolean; more clusters where `count` asks for more.
    """
    num_clusters = max(int(clusters.max()) + 1, int(count.data.max()))
    activity = _activity(scores, clusters, count, num_clusters)
    found = np.zeros(activity.shape, bool)
    for first in range(0, len(found), _RANKED):
        part = slice(first, first + _RANKED)
        ranking = np.argsort(-activity[part], axis=1)
        np.put_along_axis(found[part], ranking, np.arange(num_clusters) < count.data[part], axis=1)
    return SlidingWindowFeature(found, count.sliding_window)


def _activity(
    scores: SlidingWindowFeature,
    clusters: npt.NDArray[Any],
    count: SlidingWindowFeature,
    num_clusters: int,
) -> npt.NDArray[np.float32]:
    """[recording's frames, clusters]: sums over windows, of the highest in each cluster.

    Window after window, as pyannote adds them: in another order float32 would round otherwise.
    """
    frames = count.sliding_window
    found = np.zeros((len(count), num_clusters), np.float32)
    for (window, score), owners in zip(scores, clusters, strict=True):
        start = frames.closest_frame(window.start + 0.5 * frames.duration)
        for cluster in set(owners.tolist()) - {NO_CLUSTER}:
            highest = score[:, owners == cluster].max(axis=1)
            highest[np.isnan(highest)] = 0.0
            found[start : start + len(score), cluster] += highest
    return found

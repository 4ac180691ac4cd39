"""The steps of diarization around embeddings and clusters: scores to activity, clusters to tracks.

The answers are those of pyannote.audio (utils/signal.py, core/inference.py, pipelines/
speaker_diarization.py, pipelines/utils/diarization.py), which makes arrays of [windows, frames,
clusters] float64, 190 MiB each for an hour with twelve speakers. These need a fifth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.detection.vad import Frames

Bools = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Track = tuple[float, float, int]  # start_s, end_s, cluster

NO_CLUSTER = -2  # of a local speaker who is silent or left out

# Windows at a time, of which a frame that is at the threshold has indices of 8 bytes.
_PART = 64
# Frames at a time whose speakers are ranked, by indices of 8 bytes.
_RANKED = 1 << 13
# pyannote.core has no segments that are shorter.
_MIN_TRACK_S = 1e-6


def binarized(scores: Scores, threshold: float) -> Bools:
    """Who is active: above the threshold; at it, whoever was before; not where a score is missing.

    Args:
        scores: [windows, frames, speakers]; the result has the same shape.
    """
    found = np.empty(scores.shape, bool)
    for first in range(0, len(scores), _PART):
        part = np.nan_to_num(scores[first : first + _PART])
        found[first : first + _PART] = _held(part > threshold, part != threshold)
    return found


def _held(is_on: Bools, is_decided: Bools) -> Bools:
    """Every frame's state, where it is undecided that of the last frame which is not."""
    if is_decided.all():
        return is_on
    frames = np.where(is_decided, np.arange(is_on.shape[1])[:, None], -1)
    last = np.maximum.accumulate(frames, axis=1)
    held: Bools = np.take_along_axis(is_on, np.maximum(last, 0), axis=1) & (last >= 0)
    return held


def counted(active: Bools, frames: Frames) -> Counts:
    """[recording's frames]: speakers at a time, the mean of the windows that see the frame."""
    num_windows, num_frames, _ = active.shape
    end_s = frames.window_s + (num_windows - 1) * frames.step_s
    total = np.zeros(round(end_s / frames.frame_step_s) + 1, np.float32)
    seen = np.zeros_like(total)
    for window, at_once in enumerate(active.sum(axis=2, dtype=np.uint8)):
        first = frames.first(window)
        total[first : first + num_frames] += at_once
        seen[first : first + num_frames] += 1
    found: Counts = np.rint(total / np.maximum(seen, 1)).astype(np.int64)
    return found


def reconstruct(scores: Scores, clusters: npt.NDArray[Any], count: Counts, frames: Frames) -> Bools:
    """Mark who speaks in each frame: as many as `count` says, the most active first.

    Args:
        scores: [windows, frames, speakers]
        clusters: [windows, speakers], of each local speaker, or NO_CLUSTER.
        count: [recording's frames]

    Returns:
        [recording's frames, clusters]; more clusters where `count` asks for more.
    """
    num_clusters = max(int(clusters.max()) + 1, int(count.max()))
    activity = _activity(scores, clusters, len(count), num_clusters, frames)
    found = np.zeros(activity.shape, bool)
    for first in range(0, len(found), _RANKED):
        part = slice(first, first + _RANKED)
        ranking = np.argsort(-activity[part], axis=1)
        is_one = np.arange(num_clusters) < count[part, None]
        np.put_along_axis(found[part], ranking, is_one, axis=1)
    return found


def _activity(
    scores: Scores,
    clusters: npt.NDArray[Any],
    num_frames: int,
    num_clusters: int,
    frames: Frames,
) -> npt.NDArray[np.float32]:
    """[recording's frames, clusters]: sums over windows, of the highest in each cluster.

    Window after window, as pyannote adds them: in another order float32 would round otherwise.
    """
    found = np.zeros((num_frames, num_clusters), np.float32)
    for window, (score, owners) in enumerate(zip(scores, clusters, strict=True)):
        start = frames.first(window)
        for cluster in set(owners.tolist()) - {NO_CLUSTER}:
            highest = score[:, owners == cluster].max(axis=1)
            highest[np.isnan(highest)] = 0.0
            found[start : start + len(score), cluster] += highest
    return found


def tracks(speaking: Bools, frames: Frames, min_pause_s: float) -> list[Track]:
    """Each cluster's tracks in order, from the middle of a frame to that of another.

    Args:
        speaking: [recording's frames, clusters]
        min_pause_s: shorter pauses of a cluster are filled.
    """
    found: list[Track] = []
    last = len(speaking) - 1
    for cluster, column in enumerate(speaking.T):
        edges = np.flatnonzero(np.diff(column, prepend=False))
        bounds = [frames.middle_s(edge) for edge in edges.tolist()]
        bounds += [frames.middle_s(last)] if len(bounds) % 2 else []
        previous_s = -np.inf
        for start_s, end_s in zip(bounds[::2], bounds[1::2], strict=True):
            if end_s - start_s <= _MIN_TRACK_S:
                continue
            if start_s - previous_s < min_pause_s:
                found[-1] = (found[-1][0], end_s, cluster)
            else:
                found.append((start_s, end_s, cluster))
            previous_s = end_s
    return found

"""The last step of diarization, held against pyannote.audio's own, which needs the memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.utils.signal import binarize
from pyannote.core import SlidingWindow, SlidingWindowFeature

from onecard.diarization.reconstruction import NO_CLUSTER, WindowScores, reconstruct

WINDOWS = SlidingWindow(start=0.0, duration=5.0, step=0.5)
FRAMES = SlidingWindow(start=0.0, duration=0.0619375, step=0.016875)
NUM_FRAMES, NUM_SPEAKERS, THRESHOLD = 293, 3, 0.5


def random_scores(num_windows: int, seed: int = 0) -> np.ndarray:
    """[windows, frames, speakers], many of them equal to one another and to the threshold."""
    tenths = np.random.default_rng(seed).integers(0, 11, (num_windows, NUM_FRAMES, NUM_SPEAKERS))
    return (tenths / 10).astype(np.float32)


def binarized(scores: SlidingWindowFeature) -> Any:
    return binarize(scores, onset=THRESHOLD, initial_state=False)


def counted(scores: np.ndarray) -> Any:
    return SpeakerDiarization.speaker_count(
        binarized(WindowScores(scores, WINDOWS)), FRAMES, warm_up=(0.0, 0.0)
    )


@pytest.mark.parametrize("num_windows", [1, 64, 150])
def test_binarized_in_parts_as_at_once(num_windows) -> None:
    scores = random_scores(num_windows)
    scores[0], scores[-1, :100] = THRESHOLD, np.nan
    found = binarized(WindowScores(scores, WINDOWS))
    assert found.data.dtype == bool
    assert np.array_equal(found.data, binarized(SlidingWindowFeature(scores, WINDOWS)).data)
    assert found.sliding_window is WINDOWS


@pytest.mark.parametrize("num_clusters", [1, 2, 12])
@pytest.mark.parametrize("num_windows", [1, 30, 400])  # the last has more frames than a part
def test_reconstructed_as_by_pyannote(num_windows, num_clusters) -> None:
    """With speakers of a window in one cluster or none, scores missing, and equal sums."""
    scores = random_scores(num_windows, seed=num_clusters)
    scores[-1, 20:40] = np.nan
    clusters = np.random.default_rng(num_windows).integers(-1, num_clusters, scores.shape[::2])
    clusters[clusters < 0] = NO_CLUSTER
    clusters[0, 0] = num_clusters - 1
    count = counted(scores)
    assert num_clusters > 1 or count.data.max() > 1  # more at a time than there are
    features = SlidingWindowFeature(scores, WINDOWS)
    found = reconstruct(features, clusters, count)
    wanted = SpeakerDiarization.reconstruct(SpeakerDiarization, features, clusters, count)
    assert np.array_equal(found.data, wanted.data)
    assert vars(found.sliding_window) == vars(wanted.sliding_window)


def test_scores_that_must_not_be_written_to_are_not() -> None:
    scores = random_scores(30)
    scores.flags.writeable = False
    clusters = np.zeros(scores.shape[::2], np.int8)
    assert reconstruct(SlidingWindowFeature(scores, WINDOWS), clusters, counted(scores)).data.any()

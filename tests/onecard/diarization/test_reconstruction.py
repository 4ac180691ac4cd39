"""The steps of diarization, held against pyannote.audio's own, which need the memory."""

from __future__ import annotations

import numpy as np
import pytest
from pyannote.audio.pipelines import SpeakerDiarization
from pyannote.audio.utils.signal import binarize
from pyannote.core import SlidingWindow, SlidingWindowFeature

from onecard.detection.vad import Frames
from onecard.diarization import reconstruction
from onecard.diarization.reconstruction import NO_CLUSTER

WINDOWS = SlidingWindow(start=0.0, duration=5.0, step=0.5)
FRAMES = SlidingWindow(start=0.0, duration=0.0619375, step=0.016875)
OURS = Frames(window_s=5.0, step_s=0.5, frame_s=FRAMES.duration, frame_step_s=FRAMES.step)
NUM_FRAMES, NUM_SPEAKERS, THRESHOLD = 293, 3, 0.5


def random_scores(num_windows: int, seed: int = 0) -> np.ndarray:
    """[windows, frames, speakers], many of them equal to one another and to the threshold."""
    tenths = np.random.default_rng(seed).integers(0, 11, (num_windows, NUM_FRAMES, NUM_SPEAKERS))
    return (tenths / 10).astype(np.float32)


def pyannotes(scores: np.ndarray) -> SlidingWindowFeature:
    feature = SlidingWindowFeature(scores, WINDOWS)
    return binarize(feature, onset=THRESHOLD, initial_state=False)


def counted(scores: np.ndarray) -> np.ndarray:
    return reconstruction.counted(reconstruction.binarized(scores, THRESHOLD), OURS)


@pytest.mark.parametrize("num_windows", [1, 64, 150])
def test_binarized_in_parts_as_by_pyannote(num_windows) -> None:
    scores = random_scores(num_windows)
    scores[0], scores[-1, :100] = THRESHOLD, np.nan
    found = reconstruction.binarized(scores, THRESHOLD)
    assert found.dtype == bool
    assert np.array_equal(found, pyannotes(scores).data)


@pytest.mark.parametrize("num_windows", [1, 2, 30])
def test_counted_as_by_pyannote(num_windows) -> None:
    scores = random_scores(num_windows)
    wanted = SpeakerDiarization.speaker_count(pyannotes(scores), FRAMES, warm_up=(0.0, 0.0))
    assert np.array_equal(counted(scores)[:, None], wanted.data)


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
    assert num_clusters > 1 or count.max() > 1  # more at a time than there are
    found = reconstruction.reconstruct(scores, clusters, count, OURS)
    wanted = SpeakerDiarization.reconstruct(
        SpeakerDiarization, SlidingWindowFeature(scores, WINDOWS), clusters,
        SlidingWindowFeature(count[:, None].astype(np.int8), FRAMES),
    )  # fmt: skip
    assert np.array_equal(found, wanted.data)


@pytest.mark.parametrize("min_pause_s", [0.0, 0.1])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_tracks_as_by_pyannote(share, min_pause_s) -> None:
    """From the first frame on, to the last, and of the last frame alone, which is none."""
    speaking = np.random.default_rng(0).random((500, 4)) < share
    speaking[0, :2] = speaking[-2:, 0] = speaking[-1, 1] = True
    speaking[-2, 1] = speaking[:, 3] = False
    found = reconstruction.tracks(speaking, OURS, min_pause_s)
    wanted = SpeakerDiarization.to_annotation(
        SlidingWindowFeature(1.0 * speaking, FRAMES), min_duration_off=min_pause_s
    )
    assert {cluster for *_, cluster in found} == {0, 1, 2}
    assert sorted(found) == sorted(
        (segment.start, segment.end, label)
        for segment, _, label in wanted.itertracks(yield_label=True)
    )


def test_scores_that_must_not_be_written_to_are_not() -> None:
    scores = random_scores(30)
    scores.flags.writeable = False
    clusters = np.zeros(scores.shape[::2], np.int8)
    assert reconstruction.reconstruct(scores, clusters, counted(scores), OURS).any()

"""Regions and chunks against WhisperX's own functions, and what must hold for any scores."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyannote.core import SlidingWindow, SlidingWindowFeature
from whisperx.diarize import Segment
from whisperx.vads.pyannote import Binarize
from whisperx.vads.vad import Vad

from onecard.detection import vad

FRAMES = vad.Frames(window_s=5.0, step_s=0.5, frame_s=0.0619375, frame_step_s=0.016875)


def whisperx_regions(scores: np.ndarray, onset: float, offset: float, longest_s: float):
    feature = SlidingWindowFeature(
        scores[:, None], SlidingWindow(FRAMES.frame_s, FRAMES.frame_step_s, 0.0)
    )
    found = Binarize(onset=onset, offset=offset, max_duration=longest_s)(feature)
    return [(segment.start, segment.end) for segment in found.get_timeline()]


def smooth_scores(seed: int, num_frames: int) -> np.ndarray:
    walk = np.cumsum(np.random.default_rng(seed).normal(0, 0.12, num_frames))
    return (1 / (1 + np.exp(-walk))).astype(np.float32)


@pytest.mark.parametrize("longest_s", [1.0, 3.0, 30.0])
@pytest.mark.parametrize("seed", range(8))
def test_regions_equal_whisperx(seed: int, longest_s: float) -> None:
    scores = smooth_scores(seed, 6_000)
    found = vad.binarize(scores, FRAMES, 0.5, 0.363, longest_s)
    assert found == whisperx_regions(scores, 0.5, 0.363, longest_s)
    assert found


@pytest.mark.parametrize("chunk_size_s", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_chunks_equal_whisperx(seed: int, chunk_size_s: float) -> None:
    regions = vad.binarize(smooth_scores(seed, 9_000), FRAMES, 0.5, 0.363, chunk_size_s)
    wanted = Vad.merge_chunks([Segment(s, e, "") for s, e in regions], chunk_size_s, 0.5, 0.363)
    chunks = vad.merge(regions, chunk_size_s)
    found = [(chunk.start, chunk.end, list(chunk.regions)) for chunk in chunks]
    assert found == [(chunk["start"], chunk["end"], chunk["segments"]) for chunk in wanted]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=400),
    st.floats(0.3, 5.0), st.floats(0.05, 0.95),
)  # fmt: skip
def test_chunks_are_ordered_disjoint_and_short(scores, longest_s: float, onset: float) -> None:
    array = np.array(scores, np.float32)
    regions = vad.binarize(array, FRAMES, onset, onset * 0.7, longest_s)
    chunks = vad.merge(regions, longest_s)
    assert [region for chunk in chunks for region in chunk.regions] == regions
    ends = [0.0]
    for start, end in regions:
        assert ends[-1] <= start < end
        ends.append(end)
    for chunk in chunks:
        assert chunk.end - chunk.start <= longest_s + 1e-6
        assert (chunk.start, chunk.end) == (chunk.regions[0][0], chunk.regions[-1][1])


def test_a_long_region_is_cut_at_its_lowest_score_in_the_second_half() -> None:
    scores = np.full(200, 0.9, np.float32)  # 3.4 s
    scores[20], scores[90] = 0.5, 0.6
    (first, second) = vad.binarize(scores, FRAMES, 0.5, 0.363, 2.0)
    assert first[1] == second[0] == FRAMES.middle_s(90)


def test_no_scores_no_regions() -> None:
    assert vad.binarize(np.zeros(0, np.float32), FRAMES, 0.5, 0.363, 30.0) == []
    assert vad.merge([], 30.0) == []


def test_regions_end_with_the_clip() -> None:
    assert vad.clamp([(0.0, 1.0), (1.5, 2.5), (2.6, 2.7)], 2.0) == [(0.0, 1.0), (1.5, 2.0)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.floats(0.01, 90.0), st.floats(1.0, 30.0))
def test_without_detection_all_of_a_clip_is_in_some_region(
    seed: int, duration_s: float, longest_s: float
) -> None:
    scores = smooth_scores(seed, int(duration_s / FRAMES.frame_step_s) + 1)
    for regions in (
        vad.everything(scores, FRAMES, duration_s, longest_s),
        vad.everything(scores[:0], FRAMES, duration_s, longest_s),
        vad.evenly(duration_s, longest_s),
    ):
        assert (regions[0][0], regions[-1][1]) == (0.0, duration_s)
        assert all(a[1] == b[0] for a, b in pairwise(regions))
        assert all(0 < end - start <= longest_s + 1e-9 for start, end in regions)


def test_without_detection_cuts_are_where_it_is_quietest() -> None:
    scores = np.ones(2_000, np.float32)
    scores[1_300] = 0.0
    first, second = vad.everything(scores, FRAMES, 33.75, 30.0)
    assert first[1] == second[0] == pytest.approx(FRAMES.middle_s(1_300))


def test_without_detection_an_empty_clip_has_no_region() -> None:
    nothing = np.zeros(0, np.float32)
    assert vad.everything(nothing, FRAMES, 0.0, 30.0) == vad.evenly(0.0, 30.0) == []


def test_the_highest_score_is_of_the_frames_in_a_region() -> None:
    scores = np.linspace(0.0, 0.99, 100, dtype=np.float32)
    middles = [FRAMES.middle_s(frame) for frame in range(100)]
    assert vad.highest(scores, FRAMES, (middles[3], middles[7])) == pytest.approx(0.07)
    assert vad.highest(scores[::-1], FRAMES, (middles[3], middles[7])) == pytest.approx(0.96)
    assert vad.highest(scores, FRAMES, (0.0, 60.0)) == pytest.approx(0.99)
    assert vad.highest(scores, FRAMES, (50.0, 60.0)) == 0
    assert vad.highest(scores[:0], FRAMES, (0.0, 1.0)) == 0


def test_regions_are_cut_to_the_spans_that_are_wanted() -> None:
    regions = [(0.0, 5.0), (6.0, 9.0)]
    assert vad.within(regions, [(1.0, 2.0), (4.0, 7.0)]) == [(1.0, 2.0), (4.0, 5.0), (6.0, 7.0)]
    assert vad.within(regions, [(5.0, 6.0)]) == []
    assert vad.within(regions, [(3.0, float("inf"))]) == [(3.0, 5.0), (6.0, 9.0)]


def test_a_callers_segments_are_chunks_and_long_ones_are_cut() -> None:
    chunks = vad.given([(1.0, 2.0), (3.0, 50.0)], 30.0)
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(1.0, 2.0), (3.0, 26.5), (26.5, 50.0)]
    assert all(chunk.regions == ((chunk.start, chunk.end),) for chunk in chunks)

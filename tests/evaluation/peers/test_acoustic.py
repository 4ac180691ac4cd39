"""The frames that the benchmarks' acoustic model is fitted to."""

from __future__ import annotations

from evaluation import recordings
from evaluation.peers import acoustic


def test_a_character_is_said_where_it_begins_and_the_blank_elsewhere():
    found = acoustic._frames([(0, 7), (320, 8), (1000, 9)], num_frames=5, num_samples=1600)
    assert found.tolist() == [7, 8, acoustic.BLANK, 9, acoustic.BLANK]


def test_characters_of_one_frame_follow_each_other():
    found = acoustic._frames([(0, 7), (10, 8), (20, 9), (1599, 4)], num_frames=5, num_samples=1600)
    assert found.tolist() == [7, 8, 9, acoustic.BLANK, 4]
    assert acoustic._frames([(1500, 7), (1599, 8)], 5, 1600).tolist() == [0, 0, 0, 0, 7]


def test_words_are_spelt_in_order_with_spaces_after_them():
    chars = acoustic._characters(recordings.jfk())
    spelt = "".join(acoustic.LABELS[code] for _, code in chars)
    assert spelt.startswith("AND|SO|MY|FELLOW|AMERICANS|ASK|NOT|")
    starts = [at for at, _ in chars]
    assert starts == sorted(starts)

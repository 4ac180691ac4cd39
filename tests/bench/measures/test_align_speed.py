"""How word times of two programs are compared."""

from __future__ import annotations

import pytest

from bench.measures import align_speed


def test_starts_are_compared_word_by_word():
    segments = [{"words": [{"word": " So", "start": 1.0}, {"word": "5", "start": None}]},
                {"words": [{"word": "it", "start": 2.0}, {"word": "is"}]}]  # fmt: skip
    found = align_speed.starts(segments)
    assert found == [("So", 1.0), ("it", 2.0)]
    later = [("So", 1.01), ("it", 2.0)]
    assert align_speed.differences_ms(found, later) == pytest.approx([10.0, 0.0])


def test_other_words_are_not_compared():
    with pytest.raises(ValueError, match="onecard timed 1 words, WhisperX 2, not the same"):
        align_speed.differences_ms([("So", 1.0)], [("So", 1.0), ("it", 2.0)])

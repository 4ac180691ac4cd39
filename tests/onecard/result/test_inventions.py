"""Which sentences are taken for invented: improbable words with silence on both sides."""

from __future__ import annotations

import pytest

from onecard.result import inventions


def sentence(start_s: float, word_s: float, num_words: int, score: float = 0.9) -> dict:
    words = [
        {
            "word": f"word{i}",
            "start": start_s + i * word_s,
            "end": start_s + (i + 1) * word_s,
            "score": score,
        }
        for i in range(num_words)
    ]
    return {"start": start_s, "end": words[-1]["end"], "text": "words", "words": words}


GOOD = sentence(0.0, 0.4, 6)
FAST = sentence(10.0, 0.02, 4)  # four words in 80 ms


@pytest.mark.parametrize(
    ("sentences", "threshold_s", "num_dropped"),
    [
        ([GOOD, FAST], 2.0, 1),
        ([GOOD, FAST], None, 0),
        ([GOOD, FAST], 8.0, 0),  # there is no such silence
        ([GOOD, sentence(10.0, 0.4, 4)], 2.0, 0),  # words as people say them
        ([GOOD, sentence(10.0, 0.4, 4, score=0.1)], 2.0, 1),
        ([GOOD, sentence(10.0, 4.0, 2)], 2.0, 1),  # two words in eight seconds
        ([GOOD, FAST, sentence(10.5, 0.4, 6)], 2.0, 0),  # speech goes on behind it
        ([{**FAST, "words": [{"word": "untimed"}]}], 1.0, 0),
    ],
)
def test_dropped(sentences, threshold_s, num_dropped: int) -> None:
    assert len(inventions.dropped(sentences, threshold_s)) == num_dropped

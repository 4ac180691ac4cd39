"""Sentences that Whisper invents in a long silence: improbable words with nothing around them.

The rule is OpenAI's (openai/whisper, transcribe.py, `hallucination_silence_threshold`), with
the aligner's scores of words in place of the decoder's probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Document = dict[str, Any]

_NUM_JUDGED = 8  # words at the beginning of a sentence
_MAX_ANOMALY = 3.0
_LEAST_SCORE = 0.15
_SHORT_S, _SHORT_WEIGHT = 0.133, 15.0
_LONG_S = 2.0


def dropped(sentences: Sequence[Document], threshold_s: float | None) -> list[Document]:
    """Those of the sentences, in order of time, that are words in a silence.

    Args:
        threshold_s: of silence before and behind a sentence; the beginning and the end of the
            recording are silence. None drops nothing.
    """
    if threshold_s is None:
        return []
    found = []
    heard_until_s = 0.0
    for index, sentence in enumerate(sentences):
        following = sentences[index + 1] if index + 1 < len(sentences) else None
        start_s, end_s = float(sentence["start"]), float(sentence["end"])
        before = start_s - heard_until_s > threshold_s or start_s < threshold_s
        behind = (
            following is None
            or float(following["start"]) - end_s > threshold_s
            or is_strange(following)
        )
        if before and behind and is_strange(sentence):
            found.append(sentence)
        else:
            heard_until_s = end_s
    return found


def is_strange(sentence: Document) -> bool:
    """Whether its first words are improbable, too short or too long; not told without times."""
    words = [
        word for word in sentence.get("words") or () if any(c.isalnum() for c in word["word"])
    ][:_NUM_JUDGED]
    if not words or any(word.get("start") is None for word in words):
        return False
    score = sum(_anomaly(word) for word in words)
    return score >= _MAX_ANOMALY or score + 0.01 >= len(words)


def _anomaly(word: Document) -> float:
    duration_s = float(word["end"]) - float(word["start"])
    score = word.get("score")
    improbable = 1.0 if score is not None and score < _LEAST_SCORE else 0.0
    short = max(0.0, _SHORT_S - duration_s) * _SHORT_WEIGHT
    return improbable + short + max(0.0, duration_s - _LONG_S)

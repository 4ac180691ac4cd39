"""Errors against references: words, their times, who spoke when, and who said what.

Rates are of sums, so that a corpus weighs every word and second alike.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt
from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.diarization import DiarizationErrorRate
from scipy.optimize import linear_sum_assignment

from evaluation.text import normalize
from evaluation.textgrid import WordTime

NEAR_S = 0.1  # a word's start that is within it counts as right


@dataclass(frozen=True)
class Counts:
    """Errors and what they are a share of: words, or seconds."""

    errors: float = 0.0
    total: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.errors + other.errors, self.total + other.total)

    @property
    def rate(self) -> float:
        """NaN where there is nothing to be wrong about."""
        return self.errors / self.total if self.total else float("nan")


@dataclass(frozen=True)
class Turn:
    """One speaker talking from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    speaker: str


def word_errors(reference: str | Sequence[str], hypothesis: str, language: str = "en") -> Counts:
    """Substituted, deleted and inserted words of normalized texts, at their least.

    Args:
        reference: what is said; or several stretches of it in order, between which something else
            may be said that nobody wrote down: words that fall there are no errors.
    """
    parts = [reference] if isinstance(reference, str) else reference
    texts = [normalize(part, language).split() for part in parts]
    found = normalize(hypothesis, language).split()
    return Counts(_distance(texts, found), sum(len(words) for words in texts))


def _distance(parts: Sequence[Sequence[str]], found: Sequence[str]) -> int:
    """Levenshtein's distance, row by row; between two parts words of `found` cost nothing."""
    words = np.array(found, dtype=object)
    places = np.arange(len(found) + 1)
    row: npt.NDArray[np.int64] = places.copy()
    for number, part in enumerate(parts):
        if number:
            row = np.minimum.accumulate(row)
        for word in part:
            without = row + 1  # deleted
            without[1:] = np.minimum(without[1:], row[:-1] + (words != word))
            row = np.minimum.accumulate(without - places) + places  # inserted
    return int(row[-1])


def start_errors(
    reference: Sequence[WordTime], found: Iterable[tuple[str, float | None]], language: str
) -> list[float]:
    """By how many seconds each word begins too late (or early: below 0).

    Of the words that both texts have, in order; `found` are words with their starts.
    """
    timed = [(normalize(word, language), start_s) for word, start_s in found]
    wanted = [normalize(word.text, language) for word in reference]
    matcher = difflib.SequenceMatcher(None, wanted, [word for word, _ in timed], autojunk=False)
    errors = []
    for block in matcher.get_matching_blocks():
        for n in range(block.size):
            word, start_s = timed[block.b + n]
            if word and start_s is not None:
                errors.append(start_s - reference[block.a + n].start_s)
    return errors


def median_s(errors: Sequence[float]) -> float:
    """The median of the absolute errors; NaN without any."""
    return median(abs(error) for error in errors) if errors else float("nan")


def share_near(errors: Sequence[float]) -> float:
    """The share within `NEAR_S`; NaN without any."""
    if not errors:
        return float("nan")
    return sum(abs(error) <= NEAR_S for error in errors) / len(errors)


def diarization_errors(
    reference: Iterable[Turn], found: Iterable[Turn], duration_s: float
) -> Counts:
    """Seconds of speakers that are missed, invented or confused, by pyannote.metrics.

    Without a collar, and overlapping speech counts: each of its speakers is one.
    """
    metric = DiarizationErrorRate()
    parts = metric(
        annotation(reference), annotation(found),
        uem=Timeline([Segment(0.0, duration_s)]), detailed=True,
    )  # fmt: skip
    errors = sum(parts[name] for name in ("missed detection", "false alarm", "confusion"))
    return Counts(errors, parts["total"])


def annotation(turns: Iterable[Turn]) -> Annotation:
    """Turns as pyannote has them."""
    found = Annotation()
    for number, turn in enumerate(turns):
        found[Segment(turn.start_s, turn.end_s), number] = turn.speaker
    return found


def speaker_errors(reference: Mapping[str, str], found: Mapping[str, str], language: str) -> Counts:
    """Errors of cpWER: texts by speaker, each compared with the one that it fits best.

    Names mean nothing; every text is compared with one at most, and where the numbers of speakers
    differ the rest with none (Watanabe et al. 2020, CHiME-6: concatenated minimum-permutation word
    error rate). The permutation is found by assignment, as errors add up over its pairs.
    """
    wanted = [normalize(text, language).split() for text in reference.values()]
    others = [normalize(text, language).split() for text in found.values()]
    size = max(len(wanted), len(others))
    wanted += [[]] * (size - len(wanted))
    others += [[]] * (size - len(others))
    costs = np.array([[_distance([a], b) for b in others] for a in wanted]).reshape(size, size)
    rows, columns = linear_sum_assignment(costs)
    return Counts(float(costs[rows, columns].sum()), sum(len(text) for text in wanted))


def by_speaker(words: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    """What each speaker said, of words with their speakers; nobody's words are one more's."""
    texts: dict[str, list[str]] = defaultdict(list)
    for word, speaker in words:
        texts[speaker or ""].append(word)
    return {speaker: " ".join(said) for speaker, said in texts.items()}

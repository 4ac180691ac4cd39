"""What came of an evaluation: a score for each recording and for all, as a table and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation import metrics
from evaluation.manifest import Entry
from evaluation.metrics import Counts
from evaluation.systems import Hypothesis

HEADINGS = ("recording", "seconds", "speed", "WER", "start ms", "<= 100 ms", "DER", "cpWER")


@dataclass(frozen=True)
class Score:
    """Errors of one recording, or of several together; None is not known.

    Attributes:
        words: substituted, deleted, inserted of the reference's.
        starts: seconds by which words begin too late.
        speakers: seconds missed, invented, confused of the reference's.
        attributed: errors of cpWER, of the reference's words.
        error: why there is nothing of the above.
    """

    name: str
    duration_s: float
    seconds: float
    words: Counts | None = None
    starts: tuple[float, ...] | None = None
    speakers: Counts | None = None
    attributed: Counts | None = None
    stages: dict[str, float] = field(default_factory=dict)
    language: str = ""
    text: str = ""
    error: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON; rates are null where there is nothing to count."""
        starts = self.starts
        figures = {
            "wer": None if self.words is None else self.words.rate,
            "start_median_ms": None if starts is None else 1000 * metrics.median_s(starts),
            "start_within_100_ms": None if starts is None else metrics.share_near(starts),
            "der": None if self.speakers is None else self.speakers.rate,
            "cpwer": None if self.attributed is None else self.attributed.rate,
        }
        sums = {"words": self.words, "speakers": self.speakers, "attributed": self.attributed}
        return {
            "name": self.name,
            "duration_s": round(self.duration_s, 3),
            "seconds": round(self.seconds, 3),
            "language": self.language,
            **{key: _finite(value) for key, value in figures.items()},
            "counts": {key: vars(one) for key, one in sums.items() if one is not None},
            "num_starts": None if starts is None else len(starts),
            "stages": self.stages,
            "text": self.text,
            **({"error": self.error} if self.error else {}),
        }

    def row(self) -> tuple[str, ...]:
        """For the table."""
        if self.error:
            return (self.name, f"{self.duration_s:.1f}", "failed", *["-"] * (len(HEADINGS) - 3))
        starts = self.starts or ()
        return (
            self.name,
            f"{self.duration_s:.1f}",
            f"{self.duration_s / self.seconds:.1f}x" if self.seconds else "-",
            _rate(self.words),
            f"{1000 * metrics.median_s(starts):.0f}" if starts else "-",
            f"{metrics.share_near(starts):.0%}" if starts else "-",
            _rate(self.speakers),
            _rate(self.attributed),
        )


def score(entry: Entry, found: Hypothesis, duration_s: float) -> Score:
    """The errors of a hypothesis, of everything that its entry knows."""
    language = entry.language or found.language
    words = starts = speakers = attributed = None
    if entry.texts is not None:
        words = metrics.word_errors(entry.texts, found.text, language)
    if entry.words is not None and found.has_times:
        timed = [(word.text, word.start_s) for word in found.words]
        starts = tuple(metrics.start_errors(entry.words, timed, language))
    if entry.turns is not None:
        speakers = metrics.diarization_errors(entry.turns, found.turns, duration_s)
    if entry.speakers is not None:
        said = metrics.by_speaker((word.text, word.speaker) for word in found.words)
        attributed = metrics.speaker_errors(entry.speakers, said, language)
    return Score(
        entry.id, duration_s, found.seconds, words, starts, speakers, attributed, found.stages,
        found.language, found.text,
    )  # fmt: skip


def total(scores: Sequence[Score]) -> Score:
    """All that did not fail together: of words and seconds, not of recordings."""
    scores = [one for one in scores if not one.error]
    starts = [one.starts for one in scores if one.starts is not None]
    return Score(
        "all",
        sum(one.duration_s for one in scores),
        sum(one.seconds for one in scores),
        _sum([one.words for one in scores]),
        tuple(error for some in starts for error in some) if starts else None,
        _sum([one.speakers for one in scores]),
        _sum([one.attributed for one in scores]),
    )


def table(scores: Sequence[Score]) -> str:
    """Every recording, all of them where there are several, and below it why some failed."""
    rows = [one.row() for one in scores]
    if len(scores) > 1:
        rows.append(total(scores).row())
    lines = aligned([HEADINGS, *rows])
    lines += [f"{one.name} failed: {one.error}" for one in scores if one.error]
    return "\n".join(line.rstrip() for line in lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, all columns but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def _sum(counts: Sequence[Counts | None]) -> Counts | None:
    known = [one for one in counts if one is not None]
    return sum(known, Counts()) if known else None


def _rate(counts: Counts | None) -> str:
    return "-" if counts is None or math.isnan(counts.rate) else f"{counts.rate:.3f}"


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 5)

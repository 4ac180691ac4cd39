"""Words and speaker turns: who said each word, and sentences cut where the speaker changes."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from onecard.contract import figures

Document = dict[str, Any]


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt: words beside every turn, and where a sentence is cut.

    A speaker change inside a sentence is a cut only where each part has `min_split_words` words
    and lasts `min_split_s`: a single word given to the other speaker is more often an error of
    the turns than a sentence shared by two people. The words keep their own speakers either way.
    """

    max_gap_s: float  # a word without overlap takes the nearest turn within it
    min_split_words: int
    min_split_s: float


class SpeakerTimeline:
    """Exclusive speaker turns, which never overlap, searchable by time."""

    def __init__(self, turns: Sequence[Document], max_gap_s: float) -> None:
        self.turns = sorted(turns, key=lambda turn: float(turn["start"]))
        self.starts = [float(turn["start"]) for turn in self.turns]
        self.max_gap_s = max_gap_s

    def speaker(self, start_s: float, end_s: float) -> str | None:
        """Who speaks longest in [start_s, end_s], else the nearest speaker within `max_gap_s`."""
        overlap_s: dict[str, float] = defaultdict(float)
        nearest, nearest_gap_s = None, self.max_gap_s
        # Turns follow each other, so only those from the last start before `start_s` to the
        # first one after `end_s` can overlap or be nearest.
        first = max(0, bisect_right(self.starts, start_s) - 1)
        for turn in self.turns[first : bisect_right(self.starts, end_s) + 1]:
            shared_s = min(end_s, turn["end"]) - max(start_s, turn["start"])
            if shared_s > 0:
                overlap_s[turn["speaker"]] += shared_s
            elif -shared_s <= nearest_gap_s:
                nearest, nearest_gap_s = turn["speaker"], -shared_s
        if overlap_s:
            return max(overlap_s, key=overlap_s.__getitem__)
        return nearest


def label(
    segments: Sequence[Document], exclusive: Sequence[Document], config: Config
) -> list[Document]:
    """Segments with a `speaker` on each segment and word that has one, cut at speaker changes.

    Args:
        segments: sentences of the ALIGNED document; they are not changed.
        exclusive: turns that do not overlap, of the TURNS document.
    """
    timeline = SpeakerTimeline(exclusive, config.max_gap_s)
    labelled = []
    for segment in segments:
        words = _label_words(segment["words"], timeline)
        for part in _split({**segment, "words": words}, config):
            speaker = _majority(part["words"]) or timeline.speaker(part["start"], part["end"])
            labelled.append(_with_speaker(part, speaker))
    return labelled


def is_timed(word: Document) -> bool:
    return word.get("start") is not None and word.get("end") is not None


def _label_words(words: Sequence[Document], timeline: SpeakerTimeline) -> list[Document]:
    """Words with their speakers; a word without a time goes with the word before it, or after."""
    speakers = [timeline.speaker(w["start"], w["end"]) if is_timed(w) else None for w in words]
    for order in (range(len(words)), range(len(words) - 1, -1, -1)):
        known = None
        for i in order:
            if is_timed(words[i]) or speakers[i] is not None:
                known = speakers[i]
            else:
                speakers[i] = known
    return [_with_speaker(word, who) for word, who in zip(words, speakers, strict=True)]


def _with_speaker(item: Document, speaker: str | None) -> Document:
    return item if speaker is None else {**item, "speaker": speaker}


def _duration_s(words: Sequence[Document]) -> float:
    timed = [word for word in words if is_timed(word)]
    return float(timed[-1]["end"] - timed[0]["start"]) if timed else 0.0


def _majority(words: Sequence[Document]) -> str | None:
    """The speaker of most word time; words without a time count nothing."""
    spoken_s: dict[str, float] = defaultdict(float)
    for word in words:
        if "speaker" in word:
            spoken_s[word["speaker"]] += word["end"] - word["start"] if is_timed(word) else 0.0
    return max(spoken_s, key=spoken_s.__getitem__) if spoken_s else None


def _runs(words: Sequence[Document]) -> list[tuple[int, int]]:
    """[first, last) of each stretch of words with one speaker; words without one join it."""
    runs: list[tuple[int, int]] = []
    current = None
    for i, word in enumerate(words):
        speaker = word.get("speaker")
        if runs and (speaker is None or current is None or speaker == current):
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
        current = speaker or current
    return runs


def _cuts(words: Sequence[Document], config: Config) -> list[int]:
    """Word indices where a new part begins: changes between two runs that are long enough."""
    cuts: list[int] = []
    speaker = None
    for first, last in _runs(words):
        run = words[first:last]
        long_enough = len(run) >= config.min_split_words and _duration_s(run) >= config.min_split_s
        if not long_enough:
            continue  # it stays with the part before it; at the beginning, with the one after
        found = next((word["speaker"] for word in run if "speaker" in word), None)
        if speaker is not None and found != speaker:
            cuts.append(first)
        speaker = found
    return cuts


def _split(segment: Document, config: Config) -> list[Document]:
    """The segment, or its parts; a part's times are those of its words, its text is theirs."""
    words = segment["words"]
    cuts = _cuts(words, config)
    if not cuts:
        return [segment]
    bounds = [0, *cuts, len(words)]
    texts = _cut(segment["text"], words, bounds)
    chars = _cut([c["char"] for c in segment.get("chars") or []], words, bounds)
    parts = []
    for i, (first, last) in enumerate(pairwise(bounds)):
        timed = [word for word in words[first:last] if is_timed(word)]
        part = {
            **segment,
            "start": timed[0]["start"] if first > 0 else segment["start"],
            "end": timed[-1]["end"] if last < len(words) else segment["end"],
            "text": segment["text"][texts[i] : texts[i + 1]].rstrip(),
            "words": words[first:last],
        }
        if segment.get("chars"):
            part["chars"] = segment["chars"][chars[i] : chars[i + 1]]
        parts.append(part)
    found = figures.of_parts(segment, [part["text"] for part in parts])
    return [{**part, **known} for part, known in zip(parts, found, strict=True)]


def _cut(characters: Sequence[str], words: Sequence[Document], bounds: Sequence[int]) -> list[int]:
    """Where in `characters` the words at `bounds` begin; the last bound is the end.

    White space apart, the words of a segment are its text, so their letters are counted off.
    """
    lengths = [len("".join(word["word"].split())) for word in words]
    wanted = [sum(lengths[:bound]) for bound in bounds[1:-1]]
    letters = [i for i, character in enumerate(characters) if not character.isspace()]
    inner = [letters[n] if n < len(letters) else len(characters) for n in wanted]
    return [0, *inner, len(characters)]

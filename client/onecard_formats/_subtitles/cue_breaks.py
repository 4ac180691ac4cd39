"""Cuts what one speaker says into cues, in the cheapest way.

A cue costs for the place where it ends, for sentences that share it, for a sentence that it cuts
uneven, and for being too short to be read. It never has more than fits, lasts longer than it may,
or goes on over a long pause.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecard_formats._subtitles.breaks import AFTER_SENTENCE
from onecard_formats._subtitles.lines import Filling, Ruler
from onecard_formats._subtitles.timed_text import TimedPiece

if TYPE_CHECKING:
    from onecard_formats.subtitles import SubtitleLayout

# Against the prices of `_breaks`.
_CUE = 10.0
_SHARED_BY_SENTENCES = 25.0
_PAUSE_WITHIN = 12.0  # a second
_TOO_SHORT = 40.0  # no time at all; less by the time it has
_TOO_FAST = 15.0  # twice as fast as it is read
_SLACK = 20.0  # of an empty cue that cuts a sentence
_ORPHAN = 40.0
_ORPHAN_WIDTH = 10
_FREE_PAUSE_S = 0.5
_MOST_PIECES = 200  # in a cue, whatever its width


@dataclass(frozen=True)
class Stretch:
    """Speech of one speaker without a long pause.

    Attributes:
        label: what stands in front of every cue.
        free_until_s: when the next stretch begins.
    """

    pieces: Sequence[TimedPiece]
    label: str
    speaker: str | None
    free_until_s: float = math.inf


def cut(stretch: Stretch, ruler: Ruler, layout: SubtitleLayout) -> Iterator[range]:
    """The pieces of each cue: every piece in one."""
    pieces = stretch.pieces
    count = len(pieces)
    costs = _Costs(stretch, ruler, layout)
    best = [0.0] + [math.inf] * count
    came_from = [0] * (count + 1)
    for first in range(count):
        for last, cost in costs.cue_ends(first):
            total = best[first] + cost
            if total < best[last]:
                best[last], came_from[last] = total, first
    ends = []
    end = count
    while end > 0:
        ends.append(range(came_from[end], end))
        end = came_from[end]
    yield from reversed(ends)


class _Costs:
    def __init__(self, stretch: Stretch, ruler: Ruler, layout: SubtitleLayout) -> None:
        self._stretch, self._pieces = stretch, stretch.pieces
        self._ruler, self._layout = ruler, layout
        self._widths = [ruler.measure(piece.text) for piece in self._pieces]
        self._joints = [ruler.measure(piece.separator) for piece in self._pieces]

    def cue_ends(self, first: int) -> Iterator[tuple[int, float]]:
        """The places where a cue from piece `first` on may end, each with its cost."""
        pieces = self._pieces
        filling = Filling(self._ruler, self._stretch.label)
        width, within = 0, 0.0
        for index in range(first, min(len(pieces), first + _MOST_PIECES)):
            filling.add(self._widths[index], self._joints[index])
            length_s = pieces[index].end_s - pieces[first].start_s
            if index > first:
                if not filling.fits or length_s > self._layout.max_duration_s:
                    return
                within += self._cost_within(index)
            width += self._widths[index] + self._joints[index]
            yield index + 1, within + self._cost_of_cue(first, index + 1, width)

    def _cost_within(self, index: int) -> float:
        """The cost of a sentence's begin, or of a pause, before a piece in the middle of a cue."""
        cost = _SHARED_BY_SENTENCES if self._pieces[index].price == AFTER_SENTENCE else 0.0
        pause_s = self._pause_before(index)
        return cost + (_PAUSE_WITHIN * pause_s if pause_s > _FREE_PAUSE_S else 0.0)

    def _pause_before(self, index: int) -> float:
        return max(0.0, self._pieces[index].start_s - self._pieces[index - 1].end_s)

    def _cost_of_cue(self, first: int, end: int, width: int) -> float:
        pieces, cost = self._pieces, _CUE
        if end < len(pieces):
            # a pause is a good place for a break, whatever is said
            cost += pieces[end].price * max(0.2, 1.0 - self._pause_before(end))
        is_cut = self._is_within_sentence(first) or self._is_within_sentence(end)
        if is_cut:
            cost += _SLACK * (1.0 - min(1.0, width / max(self._ruler.room, 1))) ** 2
            if width <= _ORPHAN_WIDTH:
                cost += _ORPHAN
        return cost + self._cost_of_speed(first, end, width)

    def _is_within_sentence(self, index: int) -> bool:
        return 0 < index < len(self._pieces) and self._pieces[index].price != AFTER_SENTENCE

    def _cost_of_speed(self, first: int, end: int, width: int) -> float:
        layout, start_s = self._layout, self._pieces[first].start_s
        is_last = end == len(self._pieces)
        next_s = self._stretch.free_until_s if is_last else self._pieces[end].start_s
        free_s = next_s - layout.min_gap_s - start_s
        shown_s = min(free_s, self._pieces[end - 1].end_s + layout.max_linger_s - start_s)
        deficit_s = layout.min_duration_s - max(0.0, free_s)
        cost = _TOO_SHORT * max(0.0, deficit_s / layout.min_duration_s)
        needed_s = width / layout.chars_per_s
        if shown_s < needed_s:
            cost += _TOO_FAST * min(2.0, needed_s / max(shown_s, 0.1) - 1.0)
        return cost

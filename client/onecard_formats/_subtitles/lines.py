"""Lines of a cue: how wide they may be, what fits, and where they break best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import wcwidth

from onecard_formats._subtitles.timed_text import TimedPiece

# Between lines of the same price the even ones win: what a line's share of the width away from the
# mean costs, against the prices of `_breaks`.
_UNEVENNESS = 100.0
_ORPHAN = 20.0  # a line of a fifth of the width or less


@dataclass(frozen=True)
class Ruler:
    """The room that a cue has.

    Attributes:
        width: of a line, in what `measure` counts.
        num_lines: the most lines of a cue.
    """

    width: int
    num_lines: int
    measure: Callable[[str], int]

    @property
    def room(self) -> int:
        return self.width * self.num_lines


def columns(text: str) -> int:
    """Columns on a screen: 2 for a Chinese character, 0 for a mark over a letter."""
    return wcwidth.width(text)


class Filling:
    """Lines that are filled piece by piece, each line as far as it goes."""

    def __init__(self, ruler: Ruler, label: str) -> None:
        self._ruler = ruler
        self._used = ruler.measure(label)
        self.num_lines = 1
        self._is_empty = True

    def add(self, width: int, joint: int) -> None:
        """A piece and the separator before it; what is wider than a line has one of its own."""
        joined = self._used + width + (0 if self._is_empty else joint)
        first_of_one_line = self._is_empty and (self._used == 0 or self._ruler.num_lines == 1)
        if joined <= self._ruler.width or first_of_one_line:
            self._used = joined
        else:
            self.num_lines += 1
            self._used = width
        self._is_empty = False

    @property
    def fits(self) -> bool:
        return self.num_lines <= self._ruler.num_lines


def line_starts(pieces: Sequence[TimedPiece], ruler: Ruler, label: str) -> list[int]:
    """The pieces that begin a line, but for the first line; 0 where the label has a line alone.

    There are as many lines as are needed, and of all ways to break them the cheapest.
    """
    widths = [ruler.measure(piece.text) for piece in pieces]
    joints = [ruler.measure(piece.separator) for piece in pieces]
    filling = Filling(ruler, label)
    for width, joint in zip(widths, joints, strict=True):
        filling.add(width, joint)
    if filling.num_lines == 1:
        return []
    prices = [piece.price for piece in pieces]
    return _cheapest(prices, widths, joints, ruler, ruler.measure(label), filling.num_lines)


def _cheapest(
    prices: list[float],
    widths: list[int],
    joints: list[int],
    ruler: Ruler,
    label_width: int,
    num_lines: int,
) -> list[int]:
    mean = (label_width + sum(widths) + sum(joints[1:])) / num_lines
    count = len(prices)
    # best[i]: the cheapest way to break the first i pieces into the lines so far, and its starts
    best: dict[int, tuple[float, list[int]]] = {}
    for end, used in _line_ends(widths, joints, 0, label_width, ruler.width):
        best[end] = (_cost(used, mean, ruler.width, used - label_width), [])
    if label_width and label_width + widths[0] > ruler.width:
        best[0] = (0.0, [])
    for _ in range(num_lines - 1):
        following: dict[int, tuple[float, list[int]]] = {}
        for start, (cost, starts) in best.items():
            if start == count:
                continue
            price = prices[start] if start else 0.0
            for end, used in _line_ends(widths, joints, start, 0, ruler.width):
                total = cost + price + _cost(used, mean, ruler.width, used)
                if total <= following.get(end, (math.inf,))[0]:
                    following[end] = (total, [*starts, start])
        best = following
    return best[count][1]


def _line_ends(
    widths: list[int], joints: list[int], start: int, used: int, limit: int
) -> list[tuple[int, int]]:
    """The places where a line from `start` may end, each with the line's width."""
    ends: list[tuple[int, int]] = []
    for index in range(start, len(widths)):
        used += widths[index] + (joints[index] if index > start else 0)
        if used > limit and (ends or start == 0 < used - widths[0]):
            break
        ends.append((index + 1, used))
        if used > limit:
            break
    return ends


def _cost(used: int, mean: float, limit: int, text_width: int) -> float:
    """The cost of a line for its width; whether it is an orphan is judged without the label."""
    orphan = _ORPHAN if 5 * text_width <= limit else 0.0
    return orphan + _UNEVENNESS * ((used - mean) / max(limit, 1)) ** 2

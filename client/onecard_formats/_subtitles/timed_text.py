"""A segment's text as timed pieces.

The text says what is said and where its spaces are; the words say when.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecard_formats._subtitles import breaks

if TYPE_CHECKING:
    from onecard_formats.transcript import Segment, Word


@dataclass(frozen=True)
class TimedPiece:
    """A piece of text, when it is said (seconds), and what stands before it.

    Attributes:
        is_timed: whether a word of it has times; otherwise they are a share of the text around it.
    """

    text: str
    separator: str
    price: float
    start_s: float
    end_s: float
    is_timed: bool


@dataclass
class _Char:
    start_s: float | None = None
    end_s: float | None = None


def timed_pieces(segment: Segment, language: str) -> list[TimedPiece]:
    """The pieces of a segment, in order; their times never go back."""
    pieces = breaks.pieces(segment.text, language)
    lengths = [_num_chars(piece.text) for piece in pieces]
    chars = _char_times(segment.words, sum(lengths))
    is_timed = [char.start_s is not None for char in chars]
    spans = _without_gaps(chars, segment.start, segment.end)
    found: list[TimedPiece] = []
    first, latest_s = 0, segment.start
    for piece, length in zip(pieces, lengths, strict=True):
        last = min(first + max(length, 1), len(spans))
        inside = spans[first:last] or [(latest_s, latest_s)]
        timed = any(is_timed[first:last])
        start_s, end_s = inside[0][0], inside[-1][1]
        found.append(TimedPiece(piece.text, piece.separator, piece.price, start_s, end_s, timed))
        first, latest_s = first + length, end_s
    return found


def _num_chars(text: str) -> int:
    return sum(not char.isspace() for char in text)


def _char_times(words: Sequence[Word], num_chars: int) -> list[_Char]:
    """Times of a text's characters, by those of the words.

    Where the words are not those of the text, as in a text that somebody corrected, a character has
    the time of that at the same share of the words.
    """
    said = [char for word in words for char in _char_times_of(word)]
    if len(said) == num_chars or not said:
        return said or [_Char() for _ in range(num_chars)]
    return [said[index * len(said) // num_chars] for index in range(num_chars)]


def _char_times_of(word: Word) -> list[_Char]:
    """A word's time in equal shares for its characters."""
    count = _num_chars(word.word)
    if word.start is None or word.end is None:
        return [_Char() for _ in range(count)]
    if not (math.isfinite(word.start) and math.isfinite(word.end)):
        return [_Char() for _ in range(count)]
    step = max(0.0, word.end - word.start) / max(count, 1)
    return [
        _Char(word.start + step * index, word.start + step * (index + 1)) for index in range(count)
    ]


def _without_gaps(chars: list[_Char], start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Characters without times share what lies between their neighbours."""
    spans: list[tuple[float, float]] = []
    index, latest_s = 0, start_s
    if chars and chars[0].start_s is not None:
        latest_s = chars[0].start_s
    while index < len(chars):
        char = chars[index]
        if char.start_s is not None and char.end_s is not None:
            begin_s = max(latest_s, char.start_s)
            spans.append((begin_s, max(begin_s, char.end_s)))
            index += 1
        else:
            stop = index
            while stop < len(chars) and chars[stop].start_s is None:
                stop += 1
            until_s = end_s if stop == len(chars) else chars[stop].start_s or 0.0
            step = max(0.0, until_s - latest_s) / (stop - index)
            spans.extend(
                (latest_s + step * share, latest_s + step * (share + 1))
                for share in range(stop - index)
            )
            index = stop
        latest_s = spans[-1][1]
    return spans

"""Sets of letters as ranges of code points, and those that `\\d`, `\\w` and `\\s` stand for.

Engines, Python and ECMA-262 differ in what these classes hold beyond ASCII. A class is used in two
forms: `NARROW` holds what is in it for all of them, `WIDE` what is in it for any.
"""

from __future__ import annotations

from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]  # ascending, apart, both ends included

LAST = 0x10FFFF
ALL: Ranges = ((0, LAST),)


def union(*sets: Iterable[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for low, high in ranges:
        if start < low:
            found.append((start, low - 1))
        start = high + 1
    return (*found, (start, LAST)) if start <= LAST else tuple(found)


def intersection(first: Ranges, second: Ranges) -> Ranges:
    return complement(union(complement(first), complement(second)))


def to_ranges(letters: str) -> Ranges:
    """The ranges that hold just `letters`."""
    return union((ord(letter), ord(letter)) for letter in letters)


# What a JSON text may hold as it is: no control, no quote, no backslash, no half of a pair. What
# cannot be seen (U+007F to U+00A0) is left out as well, and what lies beyond the surrogates:
# xgrammar 0.2.8 takes minutes to compile a class that has those.
PLAIN = union(((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0xA1, 0xD7FF)))
# What `.` is in no dialect.
LINE_ENDS = to_ranges("\n\r\u2028\u2029")

_DIGITS = union(((0x30, 0x39),))
_WORD = union(_DIGITS, ((0x41, 0x5A), (0x61, 0x7A)), to_ranges("_"))
_SPACES = union(((0x09, 0x0D),), to_ranges(" \u00a0"))
_ANY_SPACE = union(((0x00, 0x20), (0x7F, 0xA0), (0x2000, 0x206F)), to_ranges("\u1680\u3000\ufeff"))
_FIRST_OTHER_DIGIT = 0x660  # the first decimal digit beyond ASCII is Arabic
_NOT_ASCII = union(((0x80, LAST),))

NARROW: dict[str, Ranges] = {
    "digit": _DIGITS,
    "not_digit": intersection(complement(_DIGITS), ((0, _FIRST_OTHER_DIGIT - 1),)),
    "word": _WORD,
    "not_word": intersection(complement(_WORD), ((0, 0x7F),)),
    "space": _SPACES,
    # Not all that is none, but what fits into few ranges.
    "not_space": union(((0x21, 0x7E), (0xA1, 0x167F), (0x3001, 0xD7FF))),
}
WIDE: dict[str, Ranges] = {
    "digit": union(_DIGITS, ((_FIRST_OTHER_DIGIT, LAST),)),
    "not_digit": complement(_DIGITS),
    "word": union(_WORD, _NOT_ASCII),
    "not_word": complement(_WORD),
    "space": _ANY_SPACE,
    "not_space": complement(_SPACES),
}

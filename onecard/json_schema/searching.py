"""Looking for a schema's pattern in a text, where Python's `re` cannot take long."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

from onecard.json_schema.patterns import MAX_COUNT, Unfollowed, count_of, is_repeat, parse

# What `re` may be given without taking more than milliseconds: repetitions without an end that do
# not lie within each other, in texts of this length.
MAX_OPEN_REPEATS = 2
MAX_CHECKED_LETTERS = 500


def found(pattern: str, text: str) -> bool:
    """Whether `pattern` is in `text`, as JSON Schema means it: anywhere.

    True as well where looking for it could take long.
    """
    if len(text) > MAX_CHECKED_LETTERS or can_explode(pattern):
        return True
    return re.search(pattern, text) is not None


@functools.lru_cache(1024)
def can_explode(pattern: str) -> bool:
    """Whether `re` could take very long to look for it, as far as its tree tells."""
    try:
        counts = _open_repeats(parse(pattern))
    except Unfollowed:
        return True
    return max(counts) > 1 or len(counts) - 1 > MAX_OPEN_REPEATS


def _open_repeats(tree: Sequence[Any], depth: int = 0) -> list[int]:
    """How deep each repetition without an end lies in others, from 1; and 0 for the whole."""
    found = [0]
    for node in tree:
        name, value = str(node[0]), node[1]
        if is_repeat(node):
            inner_depth = depth + (count_of(value[1]) > MAX_COUNT)
            found += [inner_depth] * (inner_depth > depth)
            found += _open_repeats(value[2], inner_depth)[1:]
        elif name == "SUBPATTERN":
            found += _open_repeats(value[3], depth)[1:]
        elif name == "BRANCH":
            for branch in value[1]:
                found += _open_repeats(branch, depth)[1:]
        elif name in ("ASSERT", "ASSERT_NOT"):
            found += _open_repeats(value[1], depth)[1:]
    return found

"""Looking for a schema's pattern in a text, where Python's `re` cannot take long."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Any

from onecard.json_schema.patterns import Unfollowed, count_of, is_repeat, parse

MAX_CHECKED_LETTERS = 500
# Ways in which the repetitions of a pattern can share out a text; `re` tries them all.
MAX_WAYS = 1_000_000


def found(pattern: str, text: str) -> bool:
    """Whether `pattern` is in `text`, as JSON Schema means it: anywhere.

    True as well where looking for it could take long: the engine was held to it.
    """
    if len(text) > MAX_CHECKED_LETTERS or can_explode(pattern):
        return True
    return re.search(pattern, text) is not None


@functools.lru_cache(1024)
def can_explode(pattern: str) -> bool:
    """Whether `re` could take very long to look for it, as far as its tree tells."""
    try:
        tree = parse(pattern)
    except Unfollowed:
        return True
    is_anchored = bool(tree) and str(tree[0][0]) == "AT"
    return _ways(tree, False) * (1 if is_anchored else MAX_CHECKED_LETTERS) > MAX_WAYS


def _ways(tree: Sequence[Any], is_repeated: bool) -> float:
    """Infinite where choices lie within repetitions: their number grows with each round."""
    ways = 1.0
    for node in tree:
        name, value = str(node[0]), node[1]
        if is_repeat(node):
            low, high = int(value[0]), min(count_of(value[1]), MAX_CHECKED_LETTERS)
            if high > low:
                ways *= math.inf if is_repeated else high - low + 1
            ways *= _ways(value[2], is_repeated or high > 1)
        elif name == "SUBPATTERN":
            ways *= _ways(value[3], is_repeated)
        elif name == "BRANCH":
            ways *= math.inf if is_repeated else sum(_ways(part, False) for part in value[1])
        elif name not in _SIMPLE:
            return math.inf
    return ways


_SIMPLE = ("AT", "LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY")

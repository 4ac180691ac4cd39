"""Rewrites the regular expressions of schemas so that engines generate valid JSON by them.

xgrammar 0.2.8 applies a pattern to the characters between the quotes as JSON writes them. A quote
or a backslash in it breaks the text, and anchors in the middle are dropped. On high counts it fails
or takes minutes. So characters are escaped here, counts are cut into pieces, and what cannot be
expressed is refused. Every text that the result matches, the pattern matches.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onecard.json_schema import letters
from onecard.json_schema.letters import Ranges

# The parser of Python's own `re`, with which `jsonschema` looks for patterns.
_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

MAX_LETTERS = 1000  # of one pattern
MAX_REPEATED = 500  # letters of what a pattern describes, its counts multiplied out
MAX_COUNT = 100  # of one repetition as the engine gets it; xgrammar 0.2.8 fails from about 200 on

_ESCAPES = {'"': r"\\\"", "\\": r"\\\\", "\n": r"\\n", "\t": r"\\t", "\r": r"\\r",
            "\b": r"\\b", "\f": r"\\f"}  # fmt: skip
_SPECIAL = "\\]^-[.*+?{}()|$/"  # what the engine's expressions escape, within classes or outside
_UNFOLLOWED = {
    "ASSERT": "a look-ahead or look-behind",
    "ASSERT_NOT": "a look-ahead or look-behind",
    "GROUPREF": "a reference to a group",
    "GROUPREF_EXISTS": "a reference to a group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
    "AT": "an anchor that is not at an end",
}


class Unfollowed(ValueError):
    """A part of a pattern that no engine can follow, in words that go after `has`."""


@dataclass(frozen=True)
class _Part:
    """A piece of a pattern as the engine gets it, and how many letters it stands for.

    `letter`: the piece is one letter of a set, and may be repeated by itself.
    """

    text: str
    shortest: int
    longest: float
    letter: bool = False


def parse(pattern: str) -> list[Any]:
    """The tree of `re`.

    Raises:
        Unfollowed: it is too long, no pattern, or has flags.
    """
    if len(pattern) > MAX_LETTERS:
        raise Unfollowed(f"{len(pattern)} letters, more than {MAX_LETTERS}")
    try:
        tree = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise Unfollowed(f"what is no regular expression ({error})") from error
    if tree.state.flags != re.UNICODE:
        raise Unfollowed("flags (`(?i)` and the like)")
    return list(tree)


def followed(pattern: str, shortest: int = 0, longest: float = math.inf) -> str:
    """The pattern by which an engine writes the JSON of a text that `pattern` is found in.

    Args:
        shortest, longest: letters of the text.

    Raises:
        Unfollowed: it cannot be expressed, in whole or with these lengths.
    """
    branches = [_whole(branch, shortest, longest) for branch in _branches(parse(pattern))]
    found = [branch for branch in branches if branch is not None]
    if not found:
        wanted = f"{shortest} to {longest}" if longest < math.inf else f"at least {shortest}"
        raise Unfollowed(f"lengths that cannot be held to {wanted} letters")
    return f"^({'|'.join(found)})$" if len(found) > 1 else f"^{found[0]}$"


def lengths(shortest: int, longest: float) -> str:
    """The pattern of any text that has `shortest` to `longest` characters."""
    return f"^{_repeated(_any(), shortest, longest).text}$"


def _branches(tree: Sequence[Any]) -> list[list[Any]]:
    """The alternatives of the outermost level, each of which may have anchors of its own."""
    if len(tree) == 1 and str(tree[0][0]) == "BRANCH":
        return [list(branch) for branch in tree[0][1][1]]
    return [list(tree)]


def _whole(tree: Sequence[Any], shortest: int, longest: float) -> str | None:
    """One alternative, with what may stand around it; None where no text is of such a length."""
    found = _sequence(tree, True, True)
    if shortest == 0 and longest == math.inf:
        before = [] if _has(tree, "AT_BEGINNING") else [_repeated(_any(), 0, math.inf)]
        after = [] if _has(tree, "AT_END") else [_repeated(_any(), 0, math.inf)]
        return "".join(part.text for part in (*before, *found, *after))
    return _bounded(tree, found, shortest, longest)


def _bounded(tree: Sequence[Any], parts: list[_Part], shortest: int, longest: float) -> str | None:
    """The pattern for texts of these lengths: unchanged, or with its one open end bounded."""
    low = sum(part.shortest for part in parts)
    high = sum(part.longest for part in parts)
    if low > longest or high < shortest:
        return None
    if shortest <= low and high <= longest:
        return "".join(part.text for part in parts)
    loose = [index for index, part in enumerate(parts) if part.shortest != part.longest]
    nodes = [node for node in _unwrapped(tree) if str(node[0]) != "AT"]
    if len(loose) == 1 and len(nodes) == len(parts) and is_repeat(nodes[loose[0]]):
        at_least, at_most, inner = nodes[loose[0]][1]
        atom = _sequence(inner, False, False)
        if len(atom) == 1 and atom[0].letter:
            fixed = low - parts[loose[0]].shortest
            least = max(int(at_least), shortest - fixed)
            most = min(count_of(at_most), longest - fixed)
            if least > most:
                return None
            parts[loose[0]] = _repeated(atom[0], least, most)
            return "".join(part.text for part in parts)
    raise Unfollowed("lengths of its own; give one or the other")


def _unwrapped(tree: Sequence[Any]) -> list[Any]:
    nodes = list(tree)
    while (
        len(inner := [node for node in nodes if str(node[0]) != "AT"]) == 1
        and str(inner[0][0]) == "SUBPATTERN"
    ):
        nodes = list(inner[0][1][3])
    return nodes


def _sequence(tree: Sequence[Any], starts: bool, ends: bool) -> list[_Part]:
    """`starts`, `ends`: nothing of the pattern comes before or after, so that anchors hold."""
    nodes, parts = _unwrapped(tree), []
    for index, node in enumerate(nodes):
        first = starts and all(str(other[0]) == "AT" for other in nodes[:index])
        last = ends and all(str(other[0]) == "AT" for other in nodes[index + 1 :])
        part = _part(node, first, last)
        if part is not None:
            parts.append(part)
    return parts


def _part(node: Any, starts: bool, ends: bool) -> _Part | None:
    kind, value = str(node[0]), node[1]
    if kind == "AT":
        name = str(value)
        if (name.startswith("AT_BEGINNING") and starts) or (name.startswith("AT_END") and ends):
            return None
        raise Unfollowed(_UNFOLLOWED["AT"])
    if kind in _UNFOLLOWED:
        raise Unfollowed(_UNFOLLOWED[kind])
    if is_repeat(node):
        low, high, inner = value
        return _repeated(_joined(_sequence(inner, False, False)), int(low), count_of(high))
    if kind == "SUBPATTERN":
        if value[1] or value[2]:
            raise Unfollowed("flags (`(?i)` and the like)")
        return _group(_joined(_sequence(value[3], starts, ends)))
    if kind == "BRANCH":
        return _choice([_joined(_sequence(branch, starts, ends)) for branch in value[1]])
    return _letter(_set(kind, value))


def is_repeat(node: Any) -> bool:
    return str(node[0]) in ("MAX_REPEAT", "MIN_REPEAT")


def count_of(value: Any) -> float:
    return math.inf if value == _parser.MAXREPEAT else int(value)


def _joined(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _Part(
        "".join(part.text for part in parts),
        sum(part.shortest for part in parts),
        sum(part.longest for part in parts),
    )


def _group(part: _Part) -> _Part:
    return part if part.letter else _Part(f"({part.text})", part.shortest, part.longest)


def _choice(parts: Sequence[_Part]) -> _Part:
    text = "|".join(part.text for part in parts)
    lowest = min(part.shortest for part in parts)
    return _Part(f"({text})", lowest, max(part.longest for part in parts))


def _repeated(part: _Part, low: int, high: float) -> _Part:
    """`part` so many times, in pieces of counts that engines take."""
    if part.longest == 0:
        return part
    finite = high if high < math.inf else low
    if max(1, part.shortest) * finite > MAX_REPEATED or len(part.text) * finite > 50 * MAX_REPEATED:
        raise Unfollowed(f"repetitions of {finite:.0f} times, which is too often")
    atom = part.text if part.letter else f"({part.text})"
    pieces = [f"{atom}{{{count}}}" for count in _pieces(low)]
    if high == math.inf:
        pieces.append(f"{atom}*")
    else:
        pieces += [f"{atom}{{0,{count}}}" for count in _pieces(int(high) - low)]
    text = "".join(pieces)
    return _Part(
        text if len(pieces) == 1 else f"({text})",
        part.shortest * low,
        part.longest * high if high else 0,
    )


def _pieces(count: int) -> list[int]:
    whole, rest = divmod(count, MAX_COUNT)
    return [MAX_COUNT] * whole + ([rest] if rest else [])


def _any() -> _Part:
    return _letter(letters.PLAIN)


def _set(kind: str, value: Any) -> Ranges:
    """The letters that one node stands for."""
    if kind == "LITERAL":
        return ((value, value),)
    if kind == "NOT_LITERAL":
        return letters.complement(((value, value),))
    if kind == "ANY":
        return letters.complement(letters.LINE_ENDS)
    if kind == "CATEGORY":
        return letters.NARROW[_category(value)]
    if kind != "IN":
        raise Unfollowed(f"`{kind.lower()}`, which is not known here")
    is_negated = str(value[0][0]) == "NEGATE"
    classes = letters.WIDE if is_negated else letters.NARROW
    sets = []
    for part, inner in value[is_negated:]:
        name = str(part)
        if name == "CATEGORY":
            sets.append(classes[_category(inner)])
        else:
            sets.append(((inner, inner) if name == "LITERAL" else tuple(inner),))
    found = letters.union(*sets)
    return letters.complement(found) if is_negated else found


def _category(value: Any) -> str:
    return str(value).removeprefix("CATEGORY_").lower()


def _letter(ranges: Ranges) -> _Part:
    """One letter of a set. Of those that JSON escapes, one is written where nothing else may be."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1] > letters.PLAIN[-1][1]:
        return _Part(chr(ranges[0][0]), 1, 1, letter=True)
    plain = letters.intersection(ranges, letters.PLAIN)
    if plain:
        if len(plain) == 1 and plain[0][0] == plain[0][1]:
            return _Part(_written(plain[0][0]), 1, 1, letter=True)
        ends = ("-".join(map(_written, sorted({low, high}))) for low, high in plain)
        return _Part(f"[{''.join(ends)}]", 1, 1, letter=True)
    escaped = [
        _ESCAPES[letter]
        for letter in _ESCAPES
        if letters.intersection(ranges, letters.to_ranges(letter))
    ]
    if not escaped:
        raise Unfollowed("a place where no letter can stand that JSON shows as it is")
    return _Part(f"({'|'.join(escaped)})", 1, 1, letter=True)


def _written(code: int) -> str:
    """A letter as itself; xgrammar knows `\\u1234` but not `\\U00012345`."""
    letter = chr(code)
    return f"\\{letter}" if letter in _SPECIAL else letter


def _has(tree: Sequence[Any], anchor: str) -> bool:
    for kind, value in tree:
        name = str(kind)
        if name == "AT" and str(value).startswith(anchor):
            return True
        inner: Sequence[Any] = ()
        if name == "SUBPATTERN":
            inner = value[3]
        elif name == "BRANCH":
            inner = [node for branch in value[1] for node in branch]
        if _has(inner, anchor):
            return True
    return False

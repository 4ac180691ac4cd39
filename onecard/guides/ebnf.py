"""Grammars as text that every xgrammar reads alike: 0.1.21, which TensorRT-LLM 1.0 has, to 0.2.8.

In 0.1.21 a letter from U+0080 to U+00FF with a hexadecimal digit behind it becomes another letter
(`ße` is printed as `\\xdfe` and read back as U+0DFE), so such letters are rules of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from onecard.json_schema.letters import LAST, Ranges, complement, intersection, union

_LETTER = re.compile("[\x80-\xff]")


class Literals:
    """Texts as expressions, and the rules that these need."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The expression of `text`, which may be empty."""
        parts, start = [], 0
        for found in _LETTER.finditer(text):
            parts += [_quoted(text[start : found.start()]), self._rule(found[0])]
            start = found.end()
        parts.append(_quoted(text[start:]))
        return " ".join(filter(None, parts)) or '""'

    def rules(self) -> list[str]:
        """One for each letter that has been met."""
        return [f'{name} ::= "{letter}"' for letter, name in self._letters.items()]

    def _rule(self, letter: str) -> str:
        return self._letters.setdefault(letter, f"letter_{ord(letter):x}")


def _quoted(text: str) -> str:
    """A literal of the grammar, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False) if text else ""


_HIDDEN = union(
    ((0x80, 0xA0), (0x2000, 0x206F), (0xD800, LAST)),
    ((code, code) for code in (0x1680, 0x3000, 0xFEFF)),
)
_ASCII: Ranges = ((0, 0x7F),)
MAX_ALTERNATIVES = 64  # letters beyond ASCII of one set

_TOKEN = re.compile(
    r'Regex\("(?P<regex>(?:[^"\\]|\\.)*)"[^)]*\)|"(?P<literal>(?:[^"\\]|\\.)*)"'
    r"|\[(?P<set>(?:[^\]\\]|\\.)*)\]|\{(?P<low>\d+), ?(?P<high>-?\d+)\}|(?P<name>\w+)|(?P<other>.)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "f": "\f"}


def portable(text: str, of_regex: Callable[[str], str]) -> str:
    """A grammar that xgrammar 0.2 prints, as one that its older versions read alike.

    Sets of letters beyond ASCII are all of these, some of them, or none: what old versions cannot
    tell apart is hidden, and left to the check of what was written.

    Args:
        of_regex: the grammar of a regular expression, as it is printed.

    Raises:
        ValueError: it has a set that old versions cannot express.
    """
    return _Portable(of_regex).whole(text)


class _Portable:
    def __init__(self, of_regex: Callable[[str], str]) -> None:
        self._of_regex = of_regex
        self._literals = Literals()
        self._expressions: dict[str, str] = {}  # names of regular expressions' rules
        self._rules: list[str] = []

    def whole(self, text: str) -> str:
        lines = [self._line(line, "") for line in text.splitlines() if line.strip()]
        return "\n".join([*lines, *self._rules, *self._literals.rules()])

    def _line(self, line: str, prefix: str) -> str:
        return "".join(self._part(found, prefix) for found in _TOKEN.finditer(line))

    def _part(self, match: re.Match[str], prefix: str) -> str:
        if match["regex"] is not None:
            return self._expression(_unescaped(match["regex"]))
        if match["literal"] is not None:
            return f"({self._literals(_unescaped(match['literal']))})"
        if match["set"] is not None:
            return self._set(_ranges(match["set"]))
        if match["low"] is not None:
            return _count(int(match["low"]), int(match["high"]))
        return prefix + match["name"] if match["name"] else match["other"]

    def _expression(self, pattern: str) -> str:
        if pattern not in self._expressions:
            name = f"regex_{len(self._expressions)}_"
            self._expressions[pattern] = f"{name}root"
            lines = self._of_regex(pattern).splitlines()
            self._rules += [self._line(line, name) for line in lines if line.strip()]
        return self._expressions[pattern]

    def _set(self, ranges: Ranges) -> str:
        beyond = intersection(ranges, complement(_ASCII))
        ascii_part = intersection(ranges, _ASCII)
        if not beyond:
            return f"[{_written(ascii_part)}]"
        missing = intersection(complement(ranges), complement(_ASCII))
        if not intersection(missing, complement(_HIDDEN)):
            excluded = intersection(complement(ranges), _ASCII)
            return f"[^{_written(excluded) or _written(((0, 0),))}]"
        if sum(high - low + 1 for low, high in beyond) > MAX_ALTERNATIVES:
            raise ValueError("ranges of letters beyond ASCII, which the engine cannot tell apart")
        letters = [chr(code) for low, high in beyond for code in range(low, high + 1)]
        options = [f"[{_written(ascii_part)}]"] if ascii_part else []
        return f"({' | '.join([*options, *map(self._literals, letters)])})"


def _unescaped(text: str) -> str:
    def letter(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        return chr(int(code, 16)) if code else _SHORT.get(match[4], match[4])

    return _ESCAPE.sub(letter, text)


def _ranges(text: str) -> Ranges:
    """The letters of a printed set."""
    body = text.removeprefix("^")
    letters = [(_unescaped(found[0]), len(found[0]) > 1) for found in _ONE.finditer(body)]
    found, index = [], 0
    while index < len(letters):
        low = high = ord(letters[index][0])
        if index + 2 < len(letters) and letters[index + 1] == ("-", False):
            high = ord(letters[index + 2][0])
            index += 2
        found.append((low, high))
        index += 1
    ranges = union(found)
    return complement(ranges) if text.startswith("^") else ranges


_ONE = re.compile(r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|.", re.DOTALL)


def _written(ranges: Ranges) -> str:
    """A character class, in which only letters and digits are written as themselves."""

    def letter(code: int) -> str:
        return chr(code) if chr(code).isalnum() else f"\\u{code:04x}"

    ends = ("-".join(letter(end) for end in sorted({low, high})) for low, high in ranges)
    return "".join(ends)


def _count(low: int, high: int) -> str:
    if high >= 0:
        return f"{{{low},{high}}}"
    return {0: "*", 1: "+"}.get(low, f"{{{low},}}")

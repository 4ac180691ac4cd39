"""Grammars as text that every xgrammar reads alike: 0.1.21, which TensorRT-LLM 1.0 has, to 0.2.8.

In 0.1.21 a letter from U+0080 to U+00FF with a hexadecimal digit behind it becomes another letter
(`ße` is printed as `\\xdfe` and read back as U+0DFE), so such letters are rules of their own.
"""

from __future__ import annotations

import json
import re

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

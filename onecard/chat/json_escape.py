"""An escape inside a JSON string that comes in pieces."""

from __future__ import annotations

import json
import re

from onecard import documents

_UNIT = re.compile(r"\\u([0-9a-fA-F]{4})")
# A high half may be the beginning of a character that takes two.
_HALF = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
LONGEST = 12  # `\ud83d\ude00`


def read(text: str) -> tuple[int, str]:
    """The length of the escape that `text` begins with, and its character; 0 until it is whole."""
    length = 2
    unit = _UNIT.match(text)
    if text[1:2] == "u":
        if unit is None:
            return 0, ""
        length = 6
        if _HALF.match(text):
            follows = text[6:LONGEST]
            if len(follows) < 6 and r"\u".startswith(follows[:2]):
                return 0, ""
            pair = _UNIT.match(follows)
            if pair and 0xDC00 <= int(pair[1], 16) < 0xE000:
                length = LONGEST
    elif len(text) < 2:
        return 0, ""
    try:
        return length, documents.valid(json.loads(f'"{text[:length]}"'))
    except ValueError:  # no escape of JSON's; the end of the answer says so
        return length, ""

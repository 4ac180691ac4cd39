"""English numbers as they are read aloud: `1,250` -> one thousand two hundred fifty."""

from __future__ import annotations

import re

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen"}
_CENTURIES = range(1100, 2100)
# A longer run of digits without separators is a number to dial, not to count.
_MAX_COUNTED_DIGITS = 6

# currency, digits with separators, decimals, then an ordinal's or plural's ending or a percent sign
NUMBER = re.compile(
    r"([$£€¥]?)(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?(st|nd|rd|th|'?s)?(%?)", re.IGNORECASE
)


def spoken(number: re.Match[str]) -> list[str]:
    """The words of one match of `NUMBER`."""
    currency, digits, decimals, ending, percent = number.groups()
    words = _whole(digits, is_counted=bool(currency or decimals or percent))
    if decimals:
        words += ["point", *(_UNITS[int(digit)] for digit in decimals)]
    if ending:
        last = words[-1]
        words[-1] = _plural(last) if ending.lower().endswith("s") else _ordinal(last)
        if ending.lower() == "st":
            words[-1] = _ordinal(last)
    if currency:
        words.append(_CURRENCIES[currency])
    if percent:
        words.append("percent")
    return words


def _whole(digits: str, is_counted: bool) -> list[str]:
    plain = digits.replace(",", "")
    is_dialled = (plain[0] == "0" and len(plain) > 1) or len(plain) > _MAX_COUNTED_DIGITS
    if is_dialled and "," not in digits:
        return [_UNITS[int(digit)] for digit in plain]
    value = int(plain)
    is_year = len(digits) == 4 and value in _CENTURIES and not 2000 <= value < 2010
    if is_year and not is_counted:
        rest = value % 100
        tail = ["hundred"] if rest == 0 else (["oh"] if rest < 10 else []) + _cardinal(rest)
        return _cardinal(value // 100) + tail
    return _cardinal(value)


def _cardinal(value: int) -> list[str]:
    if value < 20:
        return [_UNITS[value]]
    if value < 100:
        return [_TENS[value // 10], *(_cardinal(value % 10) if value % 10 else [])]
    scale, name = next(pair for pair in _SCALES if value >= pair[0])
    rest = value % scale
    return [*_cardinal(value // scale), name, *(_cardinal(rest) if rest else [])]


def _ordinal(word: str) -> str:
    if word.endswith("y"):
        return word[:-1] + "ieth"
    return _ORDINALS.get(word, word + "th")


def _plural(word: str) -> str:
    return word[:-1] + "ies" if word.endswith("y") else word + ("es" if word == "six" else "s")

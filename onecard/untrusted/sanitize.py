"""Strangers' text made harmless to show: nothing hidden, nothing that moves the cursor."""

from __future__ import annotations

import re
import unicodedata

# Control characters, format characters (zero width, bidirectional, tags), private use.
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Co"}
# Letters and marks that show nothing: fillers, joiners, variation selectors, the tag block.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufffc\ufffe\uffff"
    "\U000e0000-\U000e0fff]"
)
_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
_BLANKS = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n(?: ?\n){2,}")


def harmless(text: str) -> str:
    """`text` without what cannot be seen; runs of blanks and of empty lines become one."""
    text = _LINE_BREAKS.sub("\n", text).replace("\t", " ")
    changes = {ord(letter): _shown(letter) for letter in set(text)}
    text = text.translate({key: shown for key, shown in changes.items() if chr(key) != shown})
    return _BLANK_LINES.sub("\n\n", _BLANKS.sub(" ", text)).strip()


def line(text: str) -> str:
    """The same on one line."""
    return " ".join(harmless(text).split())


def clip(text: str, max_letters: int) -> str:
    """At most `max_letters` of `text`; the last of them says that there was more."""
    return text if len(text) <= max_letters else text[: max_letters - 1] + "…"


def _shown(letter: str) -> str:
    if letter == "\n":
        return letter
    category = unicodedata.category(letter)
    if category == "Cs":  # half of a character
        return "\ufffd"
    return "" if category in _HIDDEN_CATEGORIES or _HIDDEN.match(letter) else letter

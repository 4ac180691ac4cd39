"""Characters that no person sees and a program reads."""

from __future__ import annotations

import re

# Soft hyphens, spaces and joints without width: newsletters pad their previews with hundreds.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]+"
)
# Between letters that do not join; elsewhere they belong to Persian, Hindi and emoji.
_JOINERS = re.compile(
    "(?<=[\x00-\u024f])[\u200c\u200d]+|^[\u200c\u200d]+|[\u200c\u200d]+(?=[\x00-\u024f])"
)
# Letters as tags, https://www.unicode.org/reports/tr51/#Emoji_Tag_Sequences: only flags have them.
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)|[\U000e0000-\U000e007f]+")
# One selects a glyph; several in a row are bytes.
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
# Shown from right to left until it ends, Latin letters too (https://www.unicode.org/reports/tr9/).
_REVERSED = re.compile("\u202e([^\u202c\u2029\n]*)\u202c?")


def without_unseen(text: str) -> tuple[str, bool]:
    """The text that is seen, and whether letters or digits were not, or not in their order."""
    if text.isascii():
        return text, False
    hides_text = False

    def in_order(match: re.Match[str]) -> str:
        nonlocal hides_text
        hides_text = hides_text or _has_letters(match[1])
        return match[1][::-1]

    def without_tags(match: re.Match[str]) -> str:
        nonlocal hides_text
        hides_text = hides_text or match[1] is None
        return match[1] or ""

    text = _REVERSED.sub(in_order, text)
    text = _TAGS.sub(without_tags, text)
    shorter = _SELECTORS.sub("", text)
    hides_text = hides_text or shorter != text
    return _JOINERS.sub("", _INVISIBLE.sub("", shorter)), hides_text


def _has_letters(text: str) -> bool:
    return any(character.isalnum() for character in text)

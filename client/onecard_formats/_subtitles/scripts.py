"""Facts about scripts that decide where text may be broken, joined and turned round."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Spaces that a line may end at; those that do not break (French puts them before `!`) are text.
SPACES = re.compile(r"[^\S\u00a0\u2007\u202f]+")

_CJK = (
    "\u2e80-\u2fdf\u3000-\u30ff\u3100-\u312f\u31a0-\u31ff\u3200-\u9fff\uf900-\ufaff\ufe30-\ufe4f"
    "\uff00-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_THAI, _LAO, _TIBETAN = "\u0e01-\u0e5b", "\u0e81-\u0edf", "\u0f00-\u0fff"
_BURMESE, _KHMER = "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f", "\u1780-\u17ff\u19e0-\u19ff"
_TAI = "\u1950-\u19df\u1a20-\u1aad\uaa80-\uaadf"
_IS_CJK = re.compile(f"[{_CJK}]")
_WITHOUT_SPACES = re.compile(f"[{_CJK}{_THAI}{_LAO}{_TIBETAN}{_BURMESE}{_KHMER}{_TAI}]")
_IS_THAI = re.compile(f"[{_THAI}]")
_IS_TIBETAN = re.compile(f"[{_TIBETAN}]")
_IS_KANA = re.compile("[\u3041-\u30fa]")

# Thai and Lao vowels that are written before their consonant, and those behind it that are letters
# to Unicode (UAX #29 breaks at both).
_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")
_TRAILING_VOWELS = frozenset("ะาำๅະາຳຽ")
_SMALL_KANA = frozenset("ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ")
_BURMESE_ASAT = "\u103a"  # on a consonant that ends the syllable before
_TIBETAN_ENDS = frozenset("\u0f0b\u0f0d\u0f0e\u0f14")

_RIGHT_TO_LEFT = ("R", "AL")


def is_without_spaces(text: str) -> bool:
    """Whether some of `text` is of a script that puts no spaces between words."""
    return _WITHOUT_SPACES.search(text) is not None


def is_thai(text: str) -> bool:
    return _IS_THAI.search(text) is not None


def is_cjk(text: str) -> bool:
    """Whether some of `text` is Chinese or Japanese."""
    return _IS_CJK.search(text) is not None


def is_kana(text: str) -> bool:
    return _IS_KANA.search(text) is not None


def separator(before: str, after: str) -> str:
    """The text between two texts that follow each other, such as two sentences.

    Chinese and Japanese put nothing there; Thai, Lao, Khmer, Burmese and Tibetan a space.
    """
    if not before or not after:
        return ""
    ends, begins = before[-1], after[0]
    if is_cjk(ends) and is_cjk(begins):
        return ""
    full_width = [char for char in (ends, begins) if is_cjk(char)]
    is_mark = any(unicodedata.category(char)[0] == "P" for char in full_width)
    return "" if is_mark else " "


def joined(texts: Iterable[str]) -> str:
    """Texts that follow one another, in one line."""
    found = ""
    for text in texts:
        found += separator(found, text.strip()) + text.strip()
    return found


def may_break(before: str, after: str) -> bool:
    """Whether text without a space there may go on in another line between two grapheme clusters.

    Kinsoku shori for Chinese and Japanese (JIS X 4051; UAX #14); whole syllables for the others.
    """
    if not (is_without_spaces(before) or is_without_spaces(after)):
        return False
    last, first = before[-1], after[0]
    category = unicodedata.category(first)
    if category[0] == "M" or category in ("Pe", "Pf", "Po", "Lm", "Cf"):
        return False
    if unicodedata.category(last) in ("Ps", "Pi"):
        return False
    if first in _SMALL_KANA or first in _TRAILING_VOWELS or last in _LEADING_VOWELS:
        return False
    if _BURMESE_ASAT in after and "\u1000" <= first <= "\u1021":
        return False
    return last in _TIBETAN_ENDS if _IS_TIBETAN.search(last + first) else True


def is_right_to_left(text: str) -> bool:
    """Whether the letters of `text` are for the greater part written from right to left."""
    kinds = [unicodedata.bidirectional(char) for char in text]
    return sum(kind in _RIGHT_TO_LEFT for kind in kinds) > kinds.count("L")


def needs_direction(line: str) -> bool:
    """Whether a player that takes lines for left to right would put some of `line` elsewhere."""
    kinds = {unicodedata.bidirectional(char) for char in line if char != " "}
    return not kinds <= {*_RIGHT_TO_LEFT, "NSM"}

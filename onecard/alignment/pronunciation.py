"""English words as phones of the CMU dictionary: how a written word is said, known or not.

What it says of a word outside the dictionary only has to be near enough for its time to be found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from onecard.alignment import numerals

Lookup = Callable[[str], str | None]

_SYMBOLS = {"&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "°": "degrees"}
_TYPESET_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
_LETTERS = re.compile(r"[a-z']+")
_CAPITALS = re.compile(r"(?:[A-Z]\.?){2,5}")
_VOICELESS = {"F", "HH", "K", "P", "T", "TH"}
_SIBILANT = {"CH", "JH", "S", "SH", "Z", "ZH"}
_SOFT = {"dge": "j", "ge": "j", "ce": "s"}
# Below this a half of a compound is a syllable rather than a word.
_MIN_COMPOUND_HALF = 3

# Spelling -> phones, the longest that fits first. An empty value is silent.
_RULES = {
    "tion": "SH AH N", "sion": "ZH AH N", "ough": "AO", "augh": "AO", "eigh": "EY", "ture": "CH ER",
    "igh": "AY", "tch": "CH", "dge": "JH", "sch": "SH", "eau": "OW", "ing": "IH NG", "que": "K",
    "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "gh": "G", "kn": "N", "wr": "R",
    "ck": "K", "ng": "NG", "qu": "K W", "ee": "IY", "ea": "IY", "ie": "IY", "ei": "EY", "oo": "UW",
    "ou": "AW", "ow": "OW", "oa": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "au": "AO",
    "aw": "AO", "ew": "UW", "eu": "UW", "ue": "UW", "ar": "AA R", "er": "ER", "ir": "ER",
    "or": "AO R", "ur": "ER", "ce": "S", "ci": "S IH", "cy": "S IY", "bb": "B", "cc": "K",
    "dd": "D", "ff": "F", "gg": "G", "ll": "L", "mm": "M", "nn": "N", "pp": "P", "rr": "R",
    "ss": "S", "tt": "T", "zz": "Z", "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F",
    "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "OW",
    "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S",
    "y": "IY", "z": "Z", "'": "",
}  # fmt: skip
_LONGEST_RULE = max(map(len, _RULES))


def spoken_forms(word: str, lookup: Lookup) -> list[str]:
    """The spoken forms of a written word, spelled in [a-z']; none for a word without a sound.

    Numbers and symbols are read out, hyphens and slashes separate, unknown capitals are letters.
    """
    plain = unicodedata.normalize("NFKD", word.replace(_TYPESET_APOSTROPHE, "'"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    forms = []
    position = 0
    for number in numerals.NUMBER.finditer(plain):
        forms += _spelt(plain[position : number.start()], lookup)
        forms += numerals.spoken(number)
        position = number.end()
    return forms + _spelt(plain[position:], lookup)


def _spelt(text: str, lookup: Lookup) -> list[str]:
    capitals = _CAPITALS.fullmatch(text.strip('.,;:!?"()'))
    if capitals and lookup(capitals[0].replace(".", "").lower()) is None:
        return list(capitals[0].replace(".", "").lower())
    for symbol, name in _SYMBOLS.items():
        text = text.replace(symbol, f" {name} ")
    text = text.lower()
    forms = []
    for form in _LETTERS.findall(text):
        # Quotes look like apostrophes: 'tis is in the dictionary, 'hello is not.
        form = form if lookup(form) is not None else form.strip("'")
        forms += [form] if form else []
    return forms


def pronounce(form: str, lookup: Lookup) -> str:
    """Phones, separated by spaces, of a spelling that the dictionary lacks."""
    for ending in ("'s", "s'", "s"):
        stem = form.removesuffix(ending)
        if stem != form and (known := lookup(stem)) is not None:
            return f"{known} {_plural_phone(known)}"
    for cut in range(len(form) - _MIN_COMPOUND_HALF, _MIN_COMPOUND_HALF - 1, -1):
        head, tail = lookup(form[:cut]), lookup(form[cut:])
        if head is not None and tail is not None:
            return f"{head} {tail}"
    return _by_rule(form)


def _plural_phone(phones: str) -> str:
    last = phones.split()[-1]
    if last in _SIBILANT:
        return "IH Z"
    return "S" if last in _VOICELESS else "Z"


def _by_rule(form: str) -> str:
    # A final e is silent after a consonant, but softens c and g.
    if len(form) > 3 and form[-1] == "e" and form[-2] not in "aeiouy":
        ending = next((soft for soft in _SOFT if form.endswith(soft)), "e")
        form = form.removesuffix(ending) + _SOFT.get(ending, "")
    phones, position = [], 0
    while position < len(form):
        for length in range(min(_LONGEST_RULE, len(form) - position), 0, -1):
            found = _RULES.get(form[position : position + length])
            if found is not None:
                phones.append(found)
                position += length
                break
    return " ".join(phone for phone in phones if phone)

# ruff: noqa: RUF001  (punctuation of many scripts is what this is about)
"""Text as pieces that stay together, each with the price of a break in front of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import wcwidth

from onecard_formats._subtitles import scripts
from onecard_formats._subtitles.function_words import CONJUNCTIONS, LEADS, PREPOSITIONS

if TYPE_CHECKING:
    import budoux

# Prices of a break, from the best place to the worst.
AFTER_SENTENCE = 0.0
AFTER_CLAUSE = 8.0
BEFORE_CONJUNCTION = 18.0
BEFORE_PREPOSITION = 24.0
BETWEEN_PHRASES = 24.0  # of a language without spaces
BETWEEN_WORDS = 28.0
WITHIN_NAME = 45.0
AFTER_LEAD = 70.0  # between an article, a preposition and the like and its word
WITHIN_PHRASE = 90.0
AT_LONE_PUNCTUATION = 200.0  # `!` and `»` of French stand alone

_CLOSING = "\"'”’»)\\]』」》】）"
_SENTENCE_END = re.compile(f"[.!?。！？؟۔।॥။།។༎][{_CLOSING}]*$")
_CLAUSE_END = re.compile(f"[,;:…—–،؛、，；：၊༔][{_CLOSING}]*$")
_INITIAL = re.compile(r"\w\.")  # of a name
_OPENS_ONLY = re.compile("[«“„‘¿¡(\\[\u2013\u2014-]+")
_CLOSES_ONLY = re.compile(r"[^\w¿¡«“„(\[]+")


@dataclass(frozen=True)
class Piece:
    """The smallest part that stays together: a word, or a cluster of a script without spaces.

    Attributes:
        separator: what stands between it and the piece before, in one line: a space or nothing.
        price: of a break before it; `AFTER_SENTENCE` where a sentence begins.
    """

    text: str
    separator: str
    price: float


def pieces(text: str, language: str) -> list[Piece]:
    """Pieces which joined are `text` with each run of white space as one space."""
    found: list[Piece] = []
    last_token = ""
    for token in scripts.SPACES.split(text):
        if not token:
            continue
        price = price_between(last_token, token, language)
        for index, (part, inner) in enumerate(_parts(token, text, language)):
            first = index == 0
            found.append(Piece(part, " " if first and found else "", price if first else inner))
        last_token = token
    return found


def price_between(before: str, after: str, language: str) -> float:
    """The price of a break at the space between two texts, by their ends."""
    if not before:
        return AFTER_SENTENCE
    # the Latin words within Chinese, Arabic and so on are English
    language = language if language in LEADS else "en"
    word_before = before.rsplit(" ", 1)[-1].lower()
    word_after = after.split(" ", 1)[0].strip(_CLOSING + "“„«(¿¡,;:.!?…").lower()
    if _OPENS_ONLY.fullmatch(word_before) or _CLOSES_ONLY.fullmatch(after):
        return AT_LONE_PUNCTUATION
    if word_before.strip(_CLOSING + "“„«(¿¡") in LEADS[language]:
        return AFTER_LEAD
    if _INITIAL.fullmatch(word_before) and not word_before[0].isdigit():
        return AFTER_LEAD
    if _SENTENCE_END.search(before):
        return AFTER_SENTENCE
    if _CLAUSE_END.search(before):
        return AFTER_CLAUSE
    if _is_name(before, after) and language != "de":  # which capitalizes nouns
        return WITHIN_NAME
    if word_after in CONJUNCTIONS[language]:
        return BEFORE_CONJUNCTION
    if word_after in PREPOSITIONS[language]:
        return BEFORE_PREPOSITION
    return BETWEEN_WORDS


def _is_name(before: str, after: str) -> bool:
    return before[0].isupper() and after[0].isupper() and len(before) > 1 and len(after) > 1


def _parts(token: str, text: str, language: str) -> Iterator[tuple[str, float]]:
    """Parts of a text without spaces, each with the price of a break before it."""
    if not scripts.is_without_spaces(token):
        yield token, 0.0
        return
    phrase_starts = _phrase_starts(token, text, language)
    part, part_price, position = "", 0.0, 0
    for cluster in wcwidth.iter_graphemes(token):
        if part and scripts.may_break(part, cluster):
            yield part, part_price
            part_price = _price_within(token[:position], position in phrase_starts)
            part = ""
        part += cluster
        position += len(cluster)
    yield part, part_price


def _price_within(before: str, begins_phrase: bool) -> float:
    ending = before[-4:]
    if _SENTENCE_END.search(ending):
        return AFTER_SENTENCE
    if _CLAUSE_END.search(ending):
        return AFTER_CLAUSE
    return BETWEEN_PHRASES if begins_phrase else WITHIN_PHRASE


def _phrase_starts(token: str, text: str, language: str) -> frozenset[int]:
    """The places where phrases begin in Japanese, Chinese and Thai; none in other languages."""
    if scripts.is_thai(token):
        model = "th"
    elif not scripts.is_cjk(token):
        return frozenset()
    elif language == "ja" or scripts.is_kana(text):
        model = "ja"
    else:
        model = "zh-hant" if language == "yue" else "zh-hans"
    starts, position = set(), 0
    for phrase in _phrases(model).parse(token):
        starts.add(position)
        position += len(phrase)
    return frozenset(starts)


@cache
def _phrases(model: str) -> budoux.Parser:
    """The model is read when the first text needs it."""
    import budoux

    load = {
        "ja": budoux.load_default_japanese_parser,
        "th": budoux.load_default_thai_parser,
        "zh-hans": budoux.load_default_simplified_chinese_parser,
        "zh-hant": budoux.load_default_traditional_chinese_parser,
    }
    return load[model]()

"""A segment's text into words and sentences, as positions in the text.

Words are WhisperX's (whisperx/alignment.py): split at spaces with their punctuation, single
characters in scripts that put no spaces between words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import sentencex

from onecard.alignment.units import Span

# WhisperX's are ja and zh; the others are those that faster-whisper's tokenizer adds.
LANGUAGES_WITHOUT_SPACES = frozenset({"ja", "zh", "yue", "th", "lo", "my"})

_WORD = re.compile(r"\S+")


def separator(language: str) -> str:
    """The text between two words of the language."""
    return "" if language in LANGUAGES_WITHOUT_SPACES else " "


def split_words(text: str, language: str) -> tuple[Span, ...]:
    """The words of a segment; between them lies nothing but whitespace."""
    found = tuple(Span(match[0], *match.span()) for match in _WORD.finditer(text))
    if language not in LANGUAGES_WITHOUT_SPACES:
        return found
    return tuple(char for word in found for char in _split_characters(word))


def _split_characters(word: Span) -> list[Span]:
    """Characters with the marks that combine with them (Thai vowels, Japanese dakuten)."""
    starts = [
        i for i, char in enumerate(word.text) if i == 0 or unicodedata.category(char)[0] != "M"
    ]
    ends = [*starts[1:], len(word.text)]
    return [
        Span(word.text[start:end], word.start + start, word.start + end)
        for start, end in zip(starts, ends, strict=True)
    ]


def split_sentences(text: str, language: str, words: Sequence[Span]) -> list[range]:
    """Sentences as ranges of word indices; every word is in exactly one.

    The rules are those of the `sentencex` library, which knows abbreviations of many languages and
    falls back to a related one. A boundary inside a word moves to the word's end.
    """
    if not words:
        return []
    boundaries = sentencex.get_sentence_boundaries(language, text)
    ends = [boundary["end_index"] for boundary in boundaries]
    found, first = [], 0
    for end in ends:
        last = first
        while last < len(words) and words[last].start < end:
            last += 1
        if last > first:
            found.append(range(first, last))
        first = last
    if first < len(words):
        found.append(range(first, len(words)))
    return found

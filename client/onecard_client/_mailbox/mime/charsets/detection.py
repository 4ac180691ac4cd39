"""Detects the charset of text that names none, by the letters that its language uses most."""

from __future__ import annotations

import re
from functools import lru_cache

from onecard_client._mailbox.mime.charsets.frequent_letters import LETTERS

MAX_SAMPLE_BYTES = 16_384
# Under this a reading is no better than chance.
MIN_SCORE = 0.3
# Bytes beyond ASCII that `charset-normalizer` needs.
MIN_STRUCTURE_BYTES = 32

_NOT_IN_MAILS = [
    "utf_7",
    "utf_16",
    "utf_16_be",
    "utf_16_le",
    "utf_32",
    "utf_32_be",
    "utf_32_le",
    "cp1006",
    "johab",
]
_LATIN = ("cp1252", "cp1250", "cp1254", "iso8859_2")
# Alphabets that share their bytes: how often each letter comes tells them apart.
_RANKED = ("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874")
# The first bytes of the letters that the standards of these languages put first.
_COMMON_LEADS = {
    "gb18030": range(0xB0, 0xD8),
    "euc_jp": range(0xB0, 0xD0),
    "big5": range(0xA4, 0xC7),
    "cp932": range(0x88, 0x98),
    "cp949": range(0xB0, 0xC9),
}
_HIGH = re.compile(rb"[\x80-\xff]")
_LONG_RUN = re.compile(r"[^\x00-\x7f]{4,}")
_FROM_LOWER_TO_UPPER = re.compile(r"(?<=[\u0430-\u044f])[\u0410-\u042f]")
_MIXED_WORD = re.compile(r"(?<=[A-Za-z])[^\W\d_A-Za-z]|[^\W\d_A-Za-z](?=[A-Za-z])")


def _weights(codec: str) -> dict[str, float]:
    letters = LETTERS[codec]
    step = 0.8 / len(letters) if codec in _RANKED else 0.0
    return {letter: 1.0 - step * rank for rank, letter in enumerate(letters)}


_WEIGHTS = {codec: _weights(codec) for codec in LETTERS}


@lru_cache(maxsize=256)
def codec_of_bytes(content: bytes) -> str:
    """Python's name of the likeliest charset of `content`; empty if none is likely."""
    sample = _sample(content)
    scores = {codec: _score(sample, codec) for codec in LETTERS}
    best = max(scores, key=lambda codec: scores[codec])
    if scores[best] >= MIN_SCORE:
        return best
    return _by_structure(sample) if len(_HIGH.findall(sample)) >= MIN_STRUCTURE_BYTES else ""


def _sample(content: bytes) -> bytes:
    """A sample from shortly before the first byte that is not ASCII."""
    first = _HIGH.search(content)
    start = max(0, first.start() - 64) if first else 0
    return content[start : start + MAX_SAMPLE_BYTES]


def _score(sample: bytes, codec: str) -> float:
    """1 if every letter beyond ASCII is a frequent one of the languages of `codec`."""
    try:
        text = sample.decode(codec)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3 or len(sample) < MAX_SAMPLE_BYTES:
            return -1.0
        text = sample[: error.start].decode(codec)  # the sample's end may cut a letter
    letters = [letter for letter in text if letter > "\x7f"]
    points = sum(_points(letter, codec) for letter in letters)
    if codec in _LATIN:
        points -= sum(len(run) for run in _LONG_RUN.findall(text)) * 1.5
    if codec in _RANKED:
        points -= len(_FROM_LOWER_TO_UPPER.findall(text)) + len(_MIXED_WORD.findall(text))
    return points / max(1, len(letters))


def _points(letter: str, codec: str) -> float:
    weights = _WEIGHTS[codec]
    if letter in weights:
        return weights[letter]
    if letter.lower() in weights:
        return 0.6 * weights[letter.lower()]
    if "\uff61" <= letter <= "\uff9f":  # katakana of half width, which nearly any bytes decode to
        return -0.5
    if codec in _COMMON_LEADS:
        encoded = letter.encode(codec, "replace")
        return 0.4 if encoded[0] in _COMMON_LEADS[codec] and len(encoded) == 2 else 0.1
    return 0.2 if letter.isalpha() else -0.5


def _by_structure(sample: bytes) -> str:
    """The charset by `charset-normalizer`, which knows many languages and needs long texts."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_exclusion=_NOT_IN_MAILS, enable_fallback=False).best()
    return best.encoding if best is not None else ""

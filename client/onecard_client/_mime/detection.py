"""The charset of text that names none, by the letters that its language uses most."""

from __future__ import annotations

import re
from functools import lru_cache

from onecard_client._mime.frequent_letters import LETTERS

MAX_SAMPLE_BYTES = 16_384
# Under this a reading is no better than chance.
MIN_SCORE = 0.3

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
_LATIN = ("cp1252", "cp1250", "cp1254")
# Alphabets that share their bytes: how often each letter comes tells them apart.
_RANKED = ("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874")
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
    return best if scores[best] >= MIN_SCORE else _by_structure(sample)


def _sample(content: bytes) -> bytes:
    """From the first byte that is not ASCII, with a few before it."""
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
    num_bytes = len(_HIGH.findall(sample)) or 1
    width = 1 if codec in _RANKED or codec in _LATIN else 2
    points = sum(_points(letter, codec) for letter in text if letter > "\x7f") * width
    if codec in _LATIN:
        points -= sum(len(run) for run in _LONG_RUN.findall(text)) * 1.5
    if codec in _RANKED:
        points -= len(_FROM_LOWER_TO_UPPER.findall(text)) + len(_MIXED_WORD.findall(text))
    return points / num_bytes


def _points(letter: str, codec: str) -> float:
    weights = _WEIGHTS[codec]
    if letter in weights:
        return weights[letter]
    if letter.lower() in weights:
        return 0.6 * weights[letter.lower()]
    if "\uff61" <= letter <= "\uff9f":  # katakana of half width, which nearly any bytes decode to
        return -0.5
    return 0.2 if letter.isalpha() else -0.5


def _by_structure(sample: bytes) -> str:
    """What `charset-normalizer` says, which reads many languages and needs long texts."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_exclusion=_NOT_IN_MAILS, enable_fallback=False).best()
    return best.encoding if best is not None else ""

"""Decodes header lines: encoded words, raw bytes and folds (RFC 2047, as emails write it)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from onecard_client._mailbox.mime import bounds
from onecard_client._mailbox.mime.charsets import codec_of_label, decoded

# `=?utf-8*de?Q?text?=`; blanks within are folds that should not be there.
_WORD = re.compile(
    rb"=\?([\w.:+()\-]{1,60})(?:\*[\w-]{0,20})?\?([bBqQ])\?((?:(?!\?=|=\?(?!=)).){0,8000})\?=",
    re.DOTALL,
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_STATEFUL = ("iso-2022", "iso2022", "hz", "utf-7", "utf-16")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_BLANKS = re.compile(rb"[ \t\r\n]+")


@dataclass(frozen=True)
class _Word:
    charset: str
    is_base64: bool
    payload: bytes


def header_text(value: bytes, *hints: str) -> str:
    """One line: encoded words decoded, raw 8-bit text read as bodies are; bounded in length.

    Args:
        hints: charsets that the mail names elsewhere, for raw bytes.
    """
    pieces = _pieces(value[: bounds.MAX_HEADER_BYTES])
    texts: list[str] = []
    for is_words, group in groupby(pieces, key=lambda piece: isinstance(piece, _Word)):
        if is_words:
            texts.append(_words_text([piece for piece in group if isinstance(piece, _Word)]))
        else:
            raw = b"".join(piece for piece in group if isinstance(piece, bytes))
            texts.append(decoded(raw, "", *hints))
    return bounds.shortened(bounds.line("".join(texts)), bounds.MAX_HEADER_CHARACTERS, "left out")


def _pieces(value: bytes) -> Iterator[bytes | _Word]:
    """Raw text and words in turn; blanks between two words are none of the text."""
    end, after_word = 0, False
    for match in _WORD.finditer(value):
        between = value[end : match.start()]
        if between and not (after_word and not between.strip()):
            yield between
        charset = match[1].decode("ascii", "replace")
        yield _Word(charset, match[2] in b"bB", match[3])
        end, after_word = match.end(), True
    yield value[end:]


def _words_text(words: list[_Word]) -> str:
    """Words of one charset are joined before they are decoded: many a program cuts letters."""
    texts: list[str] = []
    for charset, group in groupby(words, key=lambda word: word.charset.lower()):
        run = list(group)
        if codec_of_label(charset).startswith(_STATEFUL):  # each word begins again (RFC 2047, 3)
            texts.extend(decoded(_content(word), charset) for word in run)
        else:
            texts.append(decoded(_joined(run, charset), charset))
    return "".join(texts)


def _joined(run: list[_Word], charset: str) -> bytes:
    """The bytes of several words."""
    each = b"".join(map(_content, run))
    if not any(_is_cut(word) for word in run[:-1]) or not all(word.is_base64 for word in run):
        return each
    # base64 that was cut within a group of four, or lost its padding: whichever makes letters
    whole = _from_base64(b"".join(_NOT_BASE64.sub(b"", word.payload) for word in run))
    return each if _is_text(each, charset) or not _is_text(whole, charset) else whole


def _is_cut(word: _Word) -> bool:
    return b"=" not in word.payload and len(_NOT_BASE64.sub(b"", word.payload)) % 4 != 0


def _is_text(content: bytes, charset: str) -> bool:
    try:
        content.decode(codec_of_label(charset) or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True


def _content(word: _Word) -> bytes:
    if word.is_base64:
        return _from_base64(word.payload)
    spaced = _BLANKS.sub(b" ", word.payload).replace(b"_", b" ")
    return _HEX.sub(lambda match: bytes([int(match[1], 16)]), spaced)


def _from_base64(payload: bytes) -> bytes:
    return b"".join(map(_from_piece, payload.split(b"=")))


def _from_piece(piece: bytes) -> bytes:
    letters = _NOT_BASE64.sub(b"", piece.replace(b"-", b"+").replace(b"_", b"/"))
    letters = letters[:-1] if len(letters) % 4 == 1 else letters
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))

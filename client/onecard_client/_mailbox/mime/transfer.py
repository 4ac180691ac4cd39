"""Decodes transfer encodings (base64, quoted-printable, uuencode) as emails have them."""

from __future__ import annotations

import binascii
import re

_TOKEN = re.compile(r"[a-z0-9_ \-]+")
_BASE64 = (
    *[
        "base64",
        "base-64",
        "base_64",
        "base46",
        "bas64",
        "based64",
        "base",
        "b64",
        "b",
        "mime64",
        "x-base64",
    ],
    "base 64",
)
_QUOTED = (
    *[
        "quoted-printable",
        "quoted_printable",
        "quotedprintable",
        "quote-printable",
        "qouted-printable",
    ],
    *["quoted-printible", "quoted-printeable", "quoted", "qp", "q", "x-quoted-printable"],
    "quoted printable",
)
_UUENCODE = ("x-uuencode", "uuencode", "x-uue", "uue", "x-uu", "uu")
_AS_IT_IS = ("7bit", "8bit", "binary", "7-bit", "8-bit", "7 bit", "8 bit", "none", "")

MAX_WORD_BYTES = 15  # of words in a language, on an average
MAX_PIECES = 10_000  # of one body; more of them is padding for its own sake

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_JUNK = bytes(set(range(256)) - set(_LETTERS))
_OF_THE_WEB = re.compile(rb"[\w=\s\-]*")  # RFC 4648's letters for addresses of the web
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/=]*")
_BASE64_BODY = re.compile(rb"\s*(?:[A-Za-z0-9+/]{4}\s*){6,}(?:[A-Za-z0-9+/]{2,3}=*)?\s*")
_QUOTED_SIGN = re.compile(rb"=(?:[0-9A-F]{2}|[ \t]*\n)")
_SOFT_BREAK = re.compile(rb"=[ \t]+(?=\n|\Z)")
_UU_BEGIN = re.compile(rb"^begin [0-7]{3,4} [^\n]*\n", re.M)


def without_encoding(content: bytes, encoding: str) -> bytes:
    """The bytes that `content` stands for, as far as they can be decoded. Never raises.

    Args:
        encoding: Content-Transfer-Encoding, as it stands in the part's headers.
    """
    name = _name(encoding)
    if name in _BASE64:
        return _from_base64(content)
    if name in _QUOTED:
        return _from_quoted(content)
    if name in _UUENCODE:
        return _from_uuencode(content)
    return content if name in _AS_IT_IS else _decoded_by_content(content)


def _name(encoding: str) -> str:
    without_comment = re.sub(r"\([^)]*\)|[(;].*", "", encoding.lower(), flags=re.DOTALL)
    match = _TOKEN.search(without_comment)
    name = match[0].strip(" -_") if match else ""
    known = (*_BASE64, *_QUOTED, *_UUENCODE, *_AS_IT_IS)
    return name if name in known or not name.split() else _first_known(name, known)


def _first_known(name: str, known: tuple[str, ...]) -> str:
    return next((word for word in name.split() if word in known), name)


def _decoded_by_content(content: bytes) -> bytes:
    """Decodes content of an unknown encoding if it can be only one; else leaves it as it is."""
    if _BASE64_BODY.fullmatch(content[:1_000_000]):
        return _from_base64(content)
    return _from_quoted(content) if len(_QUOTED_SIGN.findall(content[:100_000])) > 2 else content


def _from_base64(content: bytes) -> bytes:
    """Padded pieces one after the other; text that a list put behind them stays."""
    if b" " not in content and _OF_THE_WEB.fullmatch(content):
        content = content.translate(bytes.maketrans(b"-_", b"+/"))
    head, tail = _before_text(content)
    letters = head.translate(None, _JUNK)
    if letters.count(b"=") > MAX_PIECES:
        letters = letters.replace(b"=", b"")
    text = b"".join(map(_from_piece, re.split(rb"=+", letters)))
    if _is_prose(content[:4_000]) and not _is_text(text):
        return content  # never encoded
    return text + (b"\n" + tail if tail.strip() else b"")


def _is_prose(sample: bytes) -> bool:
    """Words with blanks between, as no base64 has them."""
    return len(sample.split(b" ")) * MAX_WORD_BYTES > len(sample)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _before_text(content: bytes) -> tuple[bytes, bytes]:
    """Base64, and what follows its padding or an empty line and is none."""
    at = 0
    ended = False
    for _ in range(MAX_PIECES):
        if at >= len(content):
            break
        stop = content.find(b"\n", at)
        stop = len(content) if stop < 0 else stop + 1
        line = content[at:stop].strip()
        if ended and not _BASE64_LINE.fullmatch(line):
            return content[:at], content[at:]
        ended = ended or (at > 0 and not line) or line.endswith(b"=")
        at = stop if ended else _next_end(content, stop)  # lines of base64 need no look each
    return content, b""


def _next_end(content: bytes, at: int) -> int:
    """The line that ends with padding, or the empty one, from `at` on."""
    found = [
        where
        for where in (content.find(b"=", at), content.find(b"\n\n", max(0, at - 1)))
        if where >= 0
    ]
    if not found:
        return len(content)
    return max(at, content.rfind(b"\n", at, min(found)) + 1)


def _from_piece(piece: bytes) -> bytes:
    piece = piece[:-1] if len(piece) % 4 == 1 else piece
    return binascii.a2b_base64(piece + b"=" * (-len(piece) % 4))


def _from_quoted(content: bytes) -> bytes:
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return binascii.a2b_qp(_SOFT_BREAK.sub(b"=", lines))


def _from_uuencode(content: bytes) -> bytes:
    """The file between `begin` and `end`, or all of `content` where neither is."""
    begin = _UU_BEGIN.search(content)
    lines = content[begin.end() if begin else 0 :].splitlines()
    decoded = []
    for line in lines:
        if line.strip() == b"end":
            break
        if line.strip():
            decoded.append(_from_uu_line(line))
    return b"".join(decoded)


def _from_uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:  # padding that a program left out or added
        num_letters = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
        try:
            return binascii.a2b_uu(line[:num_letters])
        except binascii.Error:
            return b""

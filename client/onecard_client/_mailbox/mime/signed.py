"""The email inside an opaque S/MIME signature, which is not encrypted (RFC 8551, 3.5.2)."""

from __future__ import annotations

MAX_PIECES = 100_000

# 1.2.840.113549.1.7.1, `data`: what follows is the content, unless it is encrypted.
_DATA = bytes.fromhex("06092a864886f70d010701")
_EXPLICIT, _OCTETS, _PIECES, _END = 0xA0, 0x04, 0x24, 0x00


def signed_content(content: bytes) -> bytes:
    """The MIME entity that was signed; empty if there is none, or it is encrypted. Never raises."""
    at = content.find(_DATA)
    if at < 0:
        return b""
    tag, _, at = _header(content, at + len(_DATA))
    if tag != _EXPLICIT:
        return b""
    tag, size, at = _header(content, at)
    if tag == _OCTETS:
        return content[at : at + size]
    if tag != _PIECES:
        return b""
    pieces = []
    for _ in range(MAX_PIECES):  # BER: octets in pieces, whose number nothing says
        tag, size, at = _header(content, at)
        if tag != _OCTETS:
            break
        pieces.append(content[at : at + size])
        at += size
    return b"".join(pieces)


def _header(content: bytes, at: int) -> tuple[int, int, int]:
    """A value's tag and size, and where it begins; the tag 0 behind the end."""
    if at + 2 > len(content):
        return _END, 0, len(content)
    tag, size = content[at], content[at + 1]
    if size < 0x80:
        return tag, size, at + 2
    num_bytes = size & 0x7F  # none: a size that is not known yet
    start = at + 2 + num_bytes
    return tag, int.from_bytes(content[at + 2 : start], "big"), start

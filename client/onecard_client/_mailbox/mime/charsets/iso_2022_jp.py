"""ISO-2022-JP as emails use it: with Microsoft's characters and narrow katakana."""

from __future__ import annotations

import re

# Python's codecs lack row 13 (circled numbers and units), which Outlook sends under this name.
_ESCAPE = re.compile(rb"\x1b(\$\([@BDOPQ]|\$[@B]|\([A-Z])|([\x0e\x0f])|(?<=[\r\n])")
_JIS = (b"$@", b"$B", b"$(@", b"$(B", b"$(O", b"$(Q")


def decoded(content: bytes, errors: str = "strict") -> str:
    """The text of `content`. Raises: UnicodeDecodeError, if `errors` is `strict`."""
    texts = []
    start, mode = 0, b"(B"
    for match in _ESCAPE.finditer(content):
        texts.append(_run(content[start : match.start()], mode, errors))
        start = match.end()
        mode = match[1] or {b"\x0e": b"(I"}.get(match[2], b"(B")  # a line's end ends a run
    texts.append(_run(content[start:], mode, errors))
    return "".join(texts)


def _run(content: bytes, mode: bytes, errors: str) -> str:
    if not content:
        return ""
    if mode in _JIS:
        return _shift_jis(content).decode("cp932", errors)
    if mode == b"$(D":
        pairs = (content[at : at + 2] for at in range(0, len(content), 2))
        high = b"".join(b"\x8f" + bytes(byte | 0x80 for byte in pair) for pair in pairs)
        return high.decode("euc_jp", errors)
    if mode == b"(I":
        return bytes(byte | 0x80 if byte > 0x20 else byte for byte in content).decode(
            "cp932", errors
        )
    return content.decode("ascii", errors)


def _shift_jis(content: bytes) -> bytes:
    """Two bytes of JIS X 0208 as Shift JIS has them."""
    shifted = bytearray()
    at = 0
    while at < len(content):
        row = content[at]
        if row <= 0x20 or at + 1 >= len(content):  # a blank between letters, or half a letter
            shifted.append(row)
            at += 1
            continue
        cell = content[at + 1]
        lead = (row - 0x21) // 2 + 0x81
        shifted.append((lead if lead <= 0x9F else lead + 0x40) & 0xFF)
        trail = cell + (0x1F if cell < 0x60 else 0x20) if row % 2 else cell + 0x7E
        shifted.append(trail & 0xFF)
        at += 2
    return bytes(shifted)

"""Plain text without the parts for programs: PGP and PEM armour, uuencoded files, base64."""

from __future__ import annotations

import re
from typing import NamedTuple

from onecard_client._mailbox.mime.attachments import size

# Of a wall of base64 that nothing announces: as many lines of one length, or letters without a
# blank. Links, names and code are shorter, or hold other characters.
MIN_WALL_LINES = 4
MIN_WALL_LINE_CHARACTERS = 60
MIN_TOKEN_CHARACTERS = 400
# A line of letters alone, so long, is no word.
MIN_DATA_CHARACTERS = 40
MIN_DATA_CHARACTERS_WITH_DIGITS = 16

_QUOTE = r"[> \t]*"
_NAME = r"[A-Z0-9][A-Za-z0-9 ,./#-]{1,60}?"
_BEGIN = re.compile(rf"({_QUOTE})-----? ?BEGIN ({_NAME}) ?----?-?[ \t]*$")
_END = re.compile(rf"-----? ?END {_NAME} ?----?-?$")
# Of armour (RFC 4880, section 6.2), and of keys with a password (RFC 1421).
_HEADER = re.compile(r"(?:Version|Hash|Charset|MessageID|Proc-Type|DEK-Info): .{0,200}$")
_COMMENT = re.compile(r"(?:Comment|Subject): .{0,1000}$")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,3}$")
_CHECKSUM = re.compile(r"=[A-Za-z0-9+/]{4}$")
_UU_BEGIN = re.compile(rf"({_QUOTE})begin(?:-base64)? [0-7]{{3,4}} (.{{1,255}})$")
_UU_LINE = re.compile(r"[!-M][ -`]{2,88}$|`$")
_DATA_LINK = re.compile(r"data:([a-z]+/[\w.+-]{1,60})?(?:;[\w=-]{1,40})*;base64,([\w+/=%-]{100,})")
_TOKEN = re.compile(rf"(?<![^\s\"'(<>\[,])[\w+/=-]{{{MIN_TOKEN_CHARACTERS},}}", re.ASCII)
_HEX = set("0123456789abcdefABCDEF")
# What the first letters of base64 say of the file.
_FILES = {
    "JVBERi": "a PDF", "UEsDB": "a ZIP or Office file", "iVBOR": "a PNG image",
    "/9j/": "a JPEG image", "R0lGOD": "a GIF image", "TVqQ": "a Windows program",
    "0M8R4KGx": "an old Office file", "MII": "a certificate, key or S/MIME",
    "PCFET0NUWVBF": "HTML", "PGh0bWw": "HTML", "H4sI": "a gzip file", "e1xydGY": "RTF",
}  # fmt: skip
_WHAT = {
    "PGP MESSAGE": "PGP message, encrypted", "PGP SIGNATURE": "PGP signature",
    "PGP PUBLIC KEY BLOCK": "PGP public key", "PGP PRIVATE KEY BLOCK": "PGP private key",
    "PKCS7": "S/MIME message or signature", "CMS": "S/MIME message or signature",
    "SSH SIGNATURE": "SSH signature", "RSA PRIVATE KEY": "RSA private key",
}  # fmt: skip


class _Block(NamedTuple):
    end: int  # the first line after it
    text: str  # that is put in its place


class _Headers(NamedTuple):
    end: int
    comments: list[str]


def without_armour(text: str) -> str:
    """Puts a short mark for each block, such as `[PGP message, encrypted, 10 kB]`.

    The text that a PGP signature is about stays, as it was before it was signed. No words are
    taken away: what stands between armour lines and is none stays, comments too. Takes a time
    that grows with the length of the text.
    """
    lines = _DATA_LINK.sub(_data_mark, text).split("\n")
    kept: list[str] = []
    is_signed = False
    number = 0
    while number < len(lines):
        line = lines[number].rstrip("\r")
        begin = _BEGIN.match(line)
        if begin and begin[2] == "PGP SIGNED MESSAGE":
            is_signed = True
            number, comments = _headers(lines, number + 1, begin[1])
            kept += comments
            continue
        block = _armour(lines, number, begin) if begin else _unannounced(lines, number, line)
        if block:
            is_signed = is_signed and not begin
            kept.append(block.text)
            number = block.end
            continue
        # RFC 4880, section 7.1: a line that begins with a dash is escaped by `- `
        kept.append(line[2:] if is_signed and line.startswith("- ") else lines[number])
        number += 1
    return _TOKEN.sub(_token_mark, "\n".join(kept))


def _unquoted(line: str, quote: str) -> str:
    return line.strip().removeprefix(quote.strip()).strip()


def _headers(lines: list[str], number: int, quote: str) -> _Headers:
    """Behind `Hash: SHA256`, `Version: ...` and the empty line that ends them."""
    comments: list[str] = []
    for position in range(number, min(len(lines), number + 10)):
        line = _unquoted(lines[position], quote)
        if not line:
            return _Headers(position + 1, comments)
        if _COMMENT.match(line):
            comments.append(line)
        elif not _HEADER.match(line):
            return _Headers(position, comments)
    return _Headers(min(len(lines), number + 10), comments)


def _armour(lines: list[str], number: int, begin: re.Match[str]) -> _Block | None:
    """The block that begins here, up to its END, else up to the last line that is data."""
    quote, kind = begin[1], begin[2]
    headers = _headers(lines, number + 1, quote)
    end = headers.end
    num_characters = 0
    num_short = 0  # the last piece and the checksum may be
    for position in range(headers.end, len(lines)):
        line = _unquoted(lines[position], quote)
        if _END.match(line):
            end = position + 1
            break
        if not line:
            continue
        if _is_data(line) and not num_short:
            end = position + 1
        elif num_short < 2 and (_BASE64.match(line) or _CHECKSUM.match(line)):
            num_short += 1
        else:
            break
        num_characters += len(line)
    if end == headers.end:
        return None
    name = "; ".join([_WHAT.get(kind) or kind.lower(), *headers.comments])
    return _Block(end, f"{quote}[{name}, {size(num_characters)}]")


def _is_data(line: str) -> bool:
    is_long = len(line) >= MIN_DATA_CHARACTERS
    if not is_long and len(line) >= MIN_DATA_CHARACTERS_WITH_DIGITS:
        is_long = any(map(str.isdigit, line))
    return is_long and bool(_BASE64.match(line))


def _unannounced(lines: list[str], number: int, line: str) -> _Block | None:
    begin = _UU_BEGIN.match(line)
    if begin:
        return _uuencoded(lines, number, begin)
    return _wall(lines, number, line) if len(line) >= MIN_WALL_LINE_CHARACTERS else None


def _wall(lines: list[str], number: int, line: str) -> _Block | None:
    """Lines of one length; they are looked at once, so if they are no wall they stay as a block."""
    quote = line[: len(line) - len(line.lstrip("> \t"))]
    first = _unquoted(line, quote)
    if len(first) < MIN_WALL_LINE_CHARACTERS or not _BASE64.match(first):
        return None
    end, num_characters = number, 0
    while end < len(lines):
        piece = _unquoted(lines[end], quote)
        if len(piece) > len(first) or not _BASE64.match(piece):
            break
        is_last = len(piece) < len(first)
        if is_last and not _is_data(piece) and piece.isalpha():  # `Regards`
            break
        num_characters += len(piece)
        end += 1
        if is_last:
            break
    whole = "\n".join(lines[number:end])
    if end - number < MIN_WALL_LINES or not _is_mixed(whole):
        return _Block(end, whole)
    return _Block(end, f"{quote}{_base64_mark(first, num_characters)}")


def _uuencoded(lines: list[str], number: int, begin: re.Match[str]) -> _Block | None:
    quote, name = begin[1], begin[2].strip()
    end, num_characters = number + 1, 0
    for position in range(number + 1, len(lines)):
        line = lines[position].rstrip("\r").removeprefix(quote)
        if line.strip() in ("end", "===="):
            end = position + 1
            break
        if not _UU_LINE.match(line) and not _is_data(line.strip()):
            break
        end = position + 1
        num_characters += len(line)
    if num_characters < MIN_DATA_CHARACTERS:
        return None
    return _Block(end, f"{quote}[file within the text: {name}, {size(num_characters)}]")


def _is_mixed(text: str) -> bool:
    """Whether the characters are as mixed as random bytes in base64 or hex."""
    sample = "".join(text[:10_000].split()).replace(">", "")
    characters = set(sample)
    has_both = any(map(str.isupper, characters)) and any(map(str.islower, characters))
    num_digits = sum(map(str.isdigit, sample))
    is_varied = len(characters) >= 10 and num_digits * 50 > len(sample)
    return is_varied and (has_both or characters <= _HEX)


def _base64_mark(first: str, num_characters: int) -> str:
    what = next((name for start, name in _FILES.items() if first.startswith(start)), "")
    of_what = f" of {what}" if what else ""
    return f"[base64{of_what}, {size(num_characters)}]"


def _token_mark(match: re.Match[str]) -> str:
    token = match[0]
    return _base64_mark(token, len(token)) if _is_mixed(token) else token


def _data_mark(match: re.Match[str]) -> str:
    return f"[data within the text: {match[1] or 'text'}, {size(len(match[2]))}]"

"""Repairs damaged emails so that a parser finds their headers and parts.

Only what stands in the way of a header is changed: line ends, what precedes the first header, and
lines among headers that are none. Bodies stay as they are.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from onecard_client._mailbox.mime.bounds import MAX_DEPTH, MAX_MAIL_BYTES, MAX_PARTS

MAX_HEADERS_BYTES = 1_000_000  # of a mail, and of a part
MAX_PART_HEADERS_BYTES = 64_000
MAX_JUNK_LINES = 2  # in a row among headers; more of them are a text

_FIRST = re.compile(rb"(?:[\s\0]|\xef\xbb\xbf)+")
_ENVELOPE = re.compile(rb"(?:>*From (?![ \t]*:)[^\n]*\n)+")
_BOUNDARY = re.compile(
    rb"boundary\s*\*?0?\*?\s*=\s*(?:\"([^\"\n]{1,200})|'([^'\n]{1,200})|([^\s;\"']{1,200}))", re.I
)
_HEADER = re.compile(rb"([!-9;-~]+)([ \t]*):")
_SPACED = re.compile(rb"([A-Za-z]+(?: [A-Za-z]+){1,2})[ \t]*:")
_KNOWN = re.compile(
    rb"(?:x-|content-|list-|arc-|dkim-|resent-|authentication-|received|return-|reply-|in-reply-|message-|mime-|delivered-|domainkey|"
    rb"thread-|errors-|user-agent|references|sender|from|to|cc|bcc|date|subject|organi[sz]ation|precedence|importance|priority|"
    rb"auto-submitted|disposition-|feedback-|keywords|comments|status|envelope-|original-|mail-|apparently-to|autocrypt|lines)",
    re.I,
)  # fmt: skip
_ONCE = (b"from", b"to", b"subject", b"date", b"message-id", b"content-type", b"mime-version")
_PARAMETER = re.compile(rb"[\w*-]+\s*=")
# Python's `email` parses mails within mails, and what it makes of them has lost bytes: under other
# names they are content, which is mended and parsed when its turn comes.
_MAIL_TYPE = re.compile(rb"^(content-type:\s*\"?)(message/|multipart/)(?=(digest)?)", re.I | re.M)
HIDDEN_TYPES = {"x-message/": "message/", "multipart/x-digest": "multipart/digest"}


class Mended(NamedTuple):
    """A mail that a parser reads.

    Attributes:
        num_left_out: bytes beyond the last part that is read; nested ones tell of themselves.
        had_crlf: each line end was two bytes.
    """

    content: bytes
    num_left_out: int
    had_crlf: bool


def mended(raw: bytes) -> Mended:
    """`raw` with one kind of line end and nothing but headers where headers are."""
    content = _with_line_ends(_in_ascii(raw[:MAX_MAIL_BYTES]))
    first = _FIRST.match(content)
    content = content[first.end() :] if first else content
    envelope = _ENVELOPE.match(content)
    content = content[envelope.end() :] if envelope else content
    boundaries = {
        (match[1] or match[2] or match[3]).rstrip() for match in _BOUNDARY.finditer(content)
    }
    regions, end = _regions(content, boundaries)
    pieces, done = [], 0
    for start in regions:
        if start < done:
            continue
        stop = _blank_line(content, start)
        headers = _with_headers_only(content[start:stop])
        pieces += [content[done:start], _MAIL_TYPE.sub(_under_another_name, headers)]
        done = stop
    pieces.append(content[done:end])
    num_left_out = max(0, len(raw) - MAX_MAIL_BYTES)
    if len(regions) > MAX_PARTS:
        num_left_out += len(content) - end
    return Mended(b"".join(pieces), num_left_out, b"\r\n" in raw[:4000])


def _in_ascii(raw: bytes) -> bytes:
    """A mail that was saved as UTF-16 in the bytes that it was sent in."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace").encode("utf-8", "replace")
    if raw[1:400:2].strip(b"\0") == b"" and raw[:400:2].strip(b"\0"):
        return raw.decode("utf-16-le", "replace").encode("utf-8", "replace")
    return raw


def _with_line_ends(raw: bytes) -> bytes:
    if b"\n" not in raw:
        return raw.replace(b"\r", b"\n")
    if raw.count(b"\r\r\n", 0, 4000) > raw.count(b"\n", 0, 4000) // 2:
        raw = raw.replace(b"\r\r\n", b"\n")  # a program that took LF for CR LF twice
    return raw.replace(b"\r\n", b"\n")


def _regions(content: bytes, boundaries: set[bytes]) -> tuple[list[int], int]:
    """The places where headers begin, and where the last part that is read ends.

    Every part costs kilobytes and half a millisecond, and every line is compared with the
    boundaries of all parts that are open.
    """
    regions = [0]
    is_open: list[bytes] = []
    at = -1 if content.startswith(b"--") else content.find(b"\n--")
    while at >= -1 and (at >= 0 or not is_open):
        stop = content.find(b"\n", at + 1)
        stop = len(content) if stop < 0 else stop
        name = content[at + 3 : min(stop, at + 300)].rstrip()
        if name in boundaries:
            while name in is_open and is_open[-1] != name:
                is_open.pop()
            is_open += [name] if name not in is_open else []
            if len(regions) > MAX_PARTS or len(is_open) > MAX_DEPTH + 4:
                return regions, max(0, at)
            regions.append(stop + 1)
        following = content.find(b"\n--", max(at + 1, 0))
        if following < 0:
            break
        at = following
    return regions, len(content)


def _under_another_name(match: re.Match[bytes]) -> bytes:
    if match[2].lower() == b"message/":
        return match[1] + b"x-" + match[2]
    return match[1] + match[2] + (b"x-" if match[3] else b"")


def _blank_line(content: bytes, start: int) -> int:
    """The start of the first empty line from `start` on."""
    if content.startswith(b"\n", start):
        return start
    longest = MAX_PART_HEADERS_BYTES if start else MAX_HEADERS_BYTES
    at = content.find(b"\n\n", start, start + longest)
    return min(len(content), start + longest) if at < 0 else at + 1


def _with_headers_only(region: bytes) -> bytes:
    lines = region.split(b"\n")
    kept: list[bytes] = []
    seen: set[bytes] = set()
    at = 0
    while at < len(lines):
        line = _respelt(lines[at])
        header = _HEADER.match(line)
        if header:
            name = header[1]
            seen.add(name.lower())
            kept.append(name + line[header.end() - 1 :])
        elif line[:1] in (b" ", b"\t", b"") and (kept or not line):
            kept.append(line)
        elif line[:1] in (b" ", b"\t"):  # the first header, indented
            lines[at] = line.lstrip()
            continue
        elif kept and _goes_on(kept, line):
            kept.append(b" " + line)
        elif not _is_junk(lines, at, seen):
            return b"\n".join([*kept, b"", *lines[at:]])  # the body: no empty line precedes it
        at += 1
    return b"\n".join(kept)


def _respelt(line: bytes) -> bytes:
    """`Content Type: text/html` with the hyphen that it lacks."""
    match = _SPACED.match(line)
    if match and _KNOWN.match(match[1].replace(b" ", b"-")):
        return match[1].replace(b" ", b"-") + line[match.end() - 1 :]
    return line


def _goes_on(kept: list[bytes], line: bytes) -> bool:
    """The header before goes on in this line, which lacks the blank that says so."""
    previous = next((each for each in reversed(kept) if each[:1] not in (b" ", b"\t")), b"").lower()
    if line.startswith(b"=?"):
        return True
    if previous.startswith(b"content-"):
        return bool(_PARAMETER.match(line))
    if previous.startswith((b"to:", b"cc:")):
        return b"@" in line and kept[-1].rstrip().endswith((b",", b";"))
    return False


def _is_junk(lines: list[bytes], at: int, seen: set[bytes]) -> bool:
    """A line or two between headers; what a text begins with is followed by no new header."""
    for line in lines[at + 1 : at + 1 + MAX_JUNK_LINES]:
        header = _HEADER.match(_respelt(line))
        if header:
            name = header[1].lower()
            return bool(_KNOWN.match(name)) and not (name in _ONCE and name in seen)
    return False

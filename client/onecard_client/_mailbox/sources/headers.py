"""Recognizes the headers of an email, to tell emails from other files."""

from __future__ import annotations

import re

from onecard_client._mailbox.sources.window import Window

# So much of a mail's beginning is looked at; signatures and routes take kilobytes.
MAX_HEADER_BYTES = 1 << 16

_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
_KNOWN = re.compile(
    rb"(from|to|subject|date|message-id|received|return-path|sender)[ \t]*:", re.IGNORECASE
)
_FROM = re.compile(rb">*From (?![ \t]*:)")
MAX_FROM_LINES = 1
MAX_BROKEN_LINES = 3


def known_headers(window: Window, at: int, *, is_tolerant: bool = False, enough: int = 2) -> int:
    """How many kinds of headers that only mails have stand at `at`, up to `enough`.

    Args:
        is_tolerant: lines that are no headers may stand between, and an empty one before.
    """
    kinds: set[bytes] = set()
    num_broken = 0
    end = at
    for number in range(MAX_HEADER_BYTES):
        start, end = end, window.line_end(end, MAX_HEADER_BYTES)
        line = bytes(window.data[start : min(end, start + 200)])
        if start == end or end - at > MAX_HEADER_BYTES:
            break
        if not line.strip():
            if is_tolerant and number == 0:
                continue
            break
        if _FROM.match(line) and number < MAX_FROM_LINES:
            continue  # procmail's `>From `, or a second one
        if line[0] in b" \t":
            continue
        if not _HEADER.match(line):
            num_broken += 1
            if num_broken > MAX_BROKEN_LINES * is_tolerant or _FROM.match(line):
                break
            continue
        found = _KNOWN.match(line)
        if found:
            kinds.add(found.group(1).lower())
        if len(kinds) >= enough:
            break
    return len(kinds)


def is_known_header(window: Window, at: int) -> bool:
    """A header that only mails have stands at `at`."""
    window.line_end(at, MAX_HEADER_BYTES)
    return _KNOWN.match(window.data, at) is not None

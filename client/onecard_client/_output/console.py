"""What every command says to people: exit codes, complaints, text that cannot command a
terminal.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130

# Controls, which could move the cursor, rename the window or answer for the user; and what turns
# the direction of writing, behind which a text can hide (CVE-2021-42574). Tab and line feed stay.
_UNSAFE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# They do so for the letters beside them alone, show nothing, and are common in Arabic and Hebrew.
_MARKS = re.compile("[\u061c\u200e\u200f]")


# A server, or a proxy that answers for it, may send pages.
MAX_COMPLAINT_CHARS = 4000


def complain(message: str) -> None:
    if len(message) > MAX_COMPLAINT_CHARS:
        rest = len(message) - MAX_COMPLAINT_CHARS
        message = f"{message[:MAX_COMPLAINT_CHARS]}... (and {plural(rest, 'character')} more)"
    print(f"onecard: {printable(message)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """`text` with a replacement for each character that a terminal would obey."""
    return _MARKS.sub("", _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n")))


def escaped(json_text: str) -> str:
    """The same JSON with an escape for each character that a terminal would obey."""

    def escape(match: re.Match[str]) -> str:
        return f"\\u{ord(match[0]):04x}"

    return _MARKS.sub(escape, _UNSAFE.sub(escape, json_text))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sits there. A stream that was closed by the caller is None in Python."""
    return stream is not None and stream.isatty()


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

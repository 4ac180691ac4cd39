"""Errors that a model may tell a caller; every other one is an internal error.

Each message states what was found, what was wanted, and what to do.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any

MAX_SHOWN_LETTERS = 80  # of a value that a message quotes
MAX_MESSAGE_LETTERS = 2000

# Triton's errors are C strings and leave as UTF-8: no NUL, and no half of a character.
_UNSENDABLE = re.compile("[\x00-\x1f\x7f-\x9f]+|[\ud800-\udfff]")

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = MAX_SHOWN_LETTERS


class InvalidRequest(Exception):
    """The request cannot be served as it is; sending it again unchanged will not help."""


class Unavailable(Exception):
    """The request is fine and the server cannot serve it now; sending it again later may help."""


class Restarting(Unavailable):
    """A model that this request needs has lost its process, and does not answer."""


class Cancelled(Unavailable):
    """Nobody waits for the answer any more: its caller went away, or its time has passed."""


def shown(value: Any) -> str:
    """A caller's value as a message quotes it: between back-quotes, and cut where it is long."""
    return named(_repr.repr(value))


def named(name: str) -> str:
    """A caller's name for something as a message quotes it, cut in the middle where it is long."""
    return f"`{clipped(name, MAX_SHOWN_LETTERS)}`"


def clipped(text: str, max_letters: int) -> str:
    """At most `max_letters` of `text`: its beginning and its end, and a mark between them."""
    if len(text) <= max_letters:
        return text
    mark = " ... "
    head = (max_letters - len(mark)) // 2
    return text[:head] + mark + text[-(max_letters - len(mark) - head) :]


def message(text: str, max_letters: int = MAX_MESSAGE_LETTERS) -> str:
    """`text` as an error can carry it: one line of UTF-8, cut in the middle where it is long."""
    text = clipped(text, 2 * max_letters)  # before what takes time for each letter
    return clipped(_UNSENDABLE.sub(_sendable, text), max_letters)


def _sendable(match: re.Match[str]) -> str:
    return "\ufffd" if match[0] >= "\ud800" else " "

"""Limits on how much of one email is read, and text that can be sent."""

from __future__ import annotations

import re

# What is read of one email; servers pass on 25 MB or so. Text comes before attachments.
MAX_MAIL_BYTES = 40_000_000
MAX_PARTS = 2_000
MAX_DEPTH = 16
# Of one header, as it stands in the mail, and what is kept of it.
MAX_HEADER_BYTES = 64_000
MAX_HEADER_CHARACTERS = 2_000
# What is sent of one body: beyond the window of every plan, so that the server shortens as it
# thinks best.
MAX_BODY_CHARACTERS = 200_000

# Controls, and marks that turn letters round or take no place: they only serve to deceive in a
# line of text. The joiners between letters stay, for Persian and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)


class NotAMail(ValueError):
    """The bytes are not an email."""


def sound(text: str) -> str:
    """Text without lone surrogates, which UTF-8 does not have, and NULs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def line(text: str) -> str:
    """One line of what can be seen of `text`."""
    return " ".join(_UNSEEN.sub("", sound(text).translate({0x85: " "})).split())


def shortened(text: str, max_characters: int, what: str = "characters left out") -> str:
    """Both ends of a text that is longer than `max_characters`."""
    num_left_out = len(text) - max_characters
    if num_left_out <= 0:
        return text
    tail = max_characters // 4
    gap = "\n" if max_characters == MAX_BODY_CHARACTERS else " "
    head = max_characters - tail
    return f"{text[:head]}{gap}[... {num_left_out} {what} ...]{gap}{text[-tail:]}"

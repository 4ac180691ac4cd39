"""The text that begins each line between what strangers wrote, and that they cannot write."""

from __future__ import annotations

import hashlib

DELIMITER_CHARACTERS = 20  # of hexadecimal: 80 bits


def delimiter_of(whole: str) -> str:
    """The delimiter for `whole`, all that stands between the lines; equal texts get an equal one.

    A text cannot hold it: it would have to contain a hash of itself.
    """
    delimiter = ""
    while not delimiter or delimiter in whole:
        delimiter = hashlib.sha256((delimiter + whole).encode()).hexdigest()[:DELIMITER_CHARACTERS]
    return f"=== {delimiter}"

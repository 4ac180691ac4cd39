"""Whole lines of an answer while it is written."""

from __future__ import annotations

from collections.abc import Iterator


class Lines:
    """Whole lines out of text that comes in pieces.

    Attributes:
        open: what came after the last whole one.
    """

    def __init__(self) -> None:
        self.open = ""

    def push(self, text: str) -> Iterator[str]:
        *lines, self.open = (self.open + text).split("\n")
        yield from filter(str.strip, lines)

    def flush(self) -> Iterator[str]:
        """The rest at the end, which may be half a line."""
        yield from self.push("\n")

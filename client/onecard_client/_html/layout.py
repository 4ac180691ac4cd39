"""Lines of text: words, lines, quotations, lists."""

from __future__ import annotations

import re

BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "legend", "li", "listing", "main", "menu", "nav", "ol", "option",
    "p", "plaintext", "pre", "section", "summary", "table", "caption", "tr", "ul", "xmp",
})  # fmt: skip
# Around these a line is left empty.
PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "table", "ul"})
MAX_QUOTES = 8

_SPACES = re.compile(r"\s+")


class Layout:
    """Text as it grows, line by line."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._bullet = ""
        self._has_gap = False  # before the next line
        self._num_quotes_before = 0
        self._num_quotes = 0

    def add(self, text: str, keeps_lines: bool = False) -> None:
        if not keeps_lines:
            self._line.append(text)
            return
        first, *others = text.splitlines() or [""]
        self._line.append(first)
        for line in others:
            self.end_line()
            self._line.append(line)

    def end_block(self, is_paragraph: bool) -> None:
        """A block begins or ends here."""
        if any(piece.strip() for piece in self._line):
            self.end_line()
        self._has_gap = self._has_gap or is_paragraph

    def begin_item(self) -> None:
        self._bullet = "- "

    def change_quotes(self, num_more: int) -> None:
        self._num_quotes = max(0, self._num_quotes + num_more)

    def end_line(self) -> None:
        words = _SPACES.sub(" ", "".join(self._line)).strip()
        self._line = []
        if not words:
            self._has_gap = True
            return
        num_quotes = min(self._num_quotes, MAX_QUOTES)
        if self._has_gap and self._lines:
            self._lines.append(("> " * min(num_quotes, self._num_quotes_before)).rstrip())
        self._lines.append("> " * num_quotes + self._bullet + words)
        self._has_gap, self._bullet, self._num_quotes_before = False, "", num_quotes

    def text(self) -> str:
        self.end_line()
        return "\n".join(self._lines)

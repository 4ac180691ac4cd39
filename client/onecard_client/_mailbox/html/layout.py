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
        self._has_words = False  # in it; to look again at each block would take the square of them
        self._bullet = ""
        self._has_gap = False  # before the next line
        self._num_quotes_before = 0
        self._num_quotes = 0

    def add(self, text: str, keeps_lines: bool = False) -> None:
        if not keeps_lines:
            self._append(text)
            return
        first, *others = text.splitlines() or [""]
        self._append(first)
        for line in others:
            self.end_line()
            self._append(line)

    def add_note(self, note: str) -> None:
        """Text about what was written last, on the same line."""
        if self._has_words or not self._lines:
            self._append(f" {note}")
        else:
            self._lines[-1] += f" {note}"

    def ends_with_digit(self) -> bool:
        return bool(self._line) and self._line[-1][-1:].isdigit()

    def end_block(self, is_paragraph: bool) -> None:
        """A block begins or ends here."""
        if self._has_words:
            self.end_line()
        self._has_gap = self._has_gap or is_paragraph

    def begin_item(self) -> None:
        self._bullet = "- "

    def end_item(self) -> None:
        self._bullet = ""

    def change_quotes(self, num_more: int) -> None:
        self._num_quotes = max(0, self._num_quotes + num_more)

    def end_line(self) -> None:
        words = _SPACES.sub(" ", "".join(self._line)).strip()
        self._line, self._has_words = [], False
        if not words:
            self._has_gap = True
            return
        num_quotes = min(self._num_quotes, MAX_QUOTES)
        if self._has_gap and self._lines:
            self._lines.append(("> " * min(num_quotes, self._num_quotes_before)).rstrip())
        self._lines.append("> " * num_quotes + self._bullet + words)
        self._has_gap, self._bullet, self._num_quotes_before = False, "", num_quotes

    def _append(self, piece: str) -> None:
        self._line.append(piece)
        self._has_words = self._has_words or bool(piece.strip())

    def text(self) -> str:
        self.end_line()
        return "\n".join(self._lines)

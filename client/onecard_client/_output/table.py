"""Rows of text in columns, as wide as a terminal shows them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from onecard_client._output.console import printable

GAP = "  "
ELLIPSIS = "…"
# Below this a column says nothing; a terminal that is too narrow cuts the last ones.
MIN_WIDTH = 6


@dataclass(frozen=True)
class Column:
    """A heading and a width in cells; what a terminal has left is shared out by `share`."""

    heading: str
    width: int
    share: float = 0.0


class Table:
    """A header and rows, made one at a time for a terminal that is `width` cells wide."""

    def __init__(self, columns: Sequence[Column], width: int) -> None:
        self._width = width
        left = width - sum(column.width for column in columns) - len(GAP) * (len(columns) - 1)
        self._widths = [column.width + int(max(0, left) * column.share) for column in columns]
        self._headings = [column.heading for column in columns]

    def header(self) -> str:
        return self.row(self._headings)

    def row(self, cells: Sequence[str]) -> str:
        """One line. Raises: ValueError, unless there is a cell for each column."""
        fitted = (fit(cell, width) for cell, width in zip(cells, self._widths, strict=True))
        return _filled(GAP.join(fitted), self._width).rstrip()


def fit(text: str, width: int) -> str:
    """`text` on one line in exactly `width` cells: filled with spaces, or cut with an ellipsis."""
    return _filled(" ".join(printable(" ".join(text.split())).split()), width)


def _filled(line: str, width: int) -> str:
    missing = width - cells(line)
    return line + " " * missing if missing >= 0 else _cut(line, width)


def _cut(line: str, width: int) -> str:
    kept = ""
    num_cells = 0
    for character in line:
        num_cells += cells(character)
        if num_cells > width - 1:
            break
        kept += character
    return kept + ELLIPSIS + " " * (width - cells(kept) - 1)


def cells(text: str) -> int:
    """Cells of a terminal: two for wide characters, none for marks on the one before."""
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1

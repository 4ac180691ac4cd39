"""A progress bar for a file that arrives: redrawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import IO

from build_scripts.console import mib

WIDTH = 30
REDRAW_S = 0.2
LINE_S = 30.0  # into a pipe or a log


class Bar:
    """Of `total_bytes`, `have_bytes` of which are there from an earlier run."""

    def __init__(
        self, name: str, have_bytes: int, total_bytes: int, out: IO[str] = sys.stderr
    ) -> None:
        self._name, self._total = name, total_bytes
        self._first = self._have = have_bytes
        self._out = out
        self._every_s = REDRAW_S if out.isatty() else LINE_S
        self._started_s = self._drawn_s = time.monotonic()

    def __enter__(self) -> Bar:
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._draw()
        if self._out.isatty():
            self._out.write("\n")

    def add(self, num_bytes: int) -> None:
        """Count bytes that arrived."""
        self._have += num_bytes
        if time.monotonic() - self._drawn_s >= self._every_s:
            self._draw()

    def _draw(self) -> None:
        self._drawn_s = time.monotonic()
        elapsed_s = max(self._drawn_s - self._started_s, 1e-3)
        speed = (self._have - self._first) / elapsed_s
        share = self._have / self._total if self._total else 0.0
        done = round(share * WIDTH)
        text = f"{self._name} [{'#' * done}{'.' * (WIDTH - done)}] {share:4.0%} "
        text += f"{mib(self._have)} of {mib(self._total)}, {mib(int(speed))}/s"
        end, start = ("", "\r") if self._out.isatty() else ("\n", "")
        self._out.write(f"{start}{text}{end}")
        self._out.flush()

"""Progress on standard error: a bar on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from onecard_client._output.console import printable
from onecard_client.events import Progress

BAR_WIDTH = 24
# A terminal is redrawn at most this often.
MIN_INTERVAL_S = 0.1


class Silent:
    """Shows nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def show(self, progress: Progress) -> None:
        """Takes note of `progress`."""

    def clear(self) -> None:
        """Leaves the terminal as a following line wants it."""


class Lines(Silent):
    """One line for every stage that begins."""

    def __init__(self, name: str, stream: TextIO) -> None:
        super().__init__(name)
        self._stream = stream
        self._begun: set[str] = set()

    def show(self, progress: Progress) -> None:
        if progress.stage not in self._begun:
            self._begun.add(progress.stage)
            line = printable(f"{self._name}: {progress.stage}")
            print(line, file=self._stream, flush=True)


class Bar(Silent):
    """One line that is drawn over and over."""

    def __init__(self, name: str, stream: TextIO) -> None:
        super().__init__(name)
        self._stream = stream
        self._started_s = time.monotonic()
        self._drawn_s = float("-inf")

    def show(self, progress: Progress) -> None:
        now_s = time.monotonic()
        is_end = 0 < progress.total <= progress.done
        if now_s - self._drawn_s < MIN_INTERVAL_S and not is_end:
            return
        self._drawn_s = now_s
        minutes, seconds = divmod(int(now_s - self._started_s), 60)
        line = f"{self._name}: {progress.stage} {_extent(progress)} {minutes}:{seconds:02d}"
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r\033[K" + printable(line)[:width])
        self._stream.flush()

    def clear(self) -> None:
        if self._drawn_s > float("-inf"):
            self._stream.write("\r\033[K")
            self._stream.flush()


def _extent(progress: Progress) -> str:
    """A bar; a count where nobody knows yet how much there is."""
    if progress.total <= 0:
        return f"{progress.done:.0f}"
    share = min(1.0, progress.done / progress.total)
    bar = ("#" * round(share * BAR_WIDTH)).ljust(BAR_WIDTH, ".")
    return f"[{bar}] {share:4.0%}"


def display(name: str, *, wanted: bool | None, verbose: bool) -> Silent:
    """The display for one file; `wanted` overrides what `verbose` says."""
    if not (verbose if wanted is None else wanted):
        return Silent(name)
    return Bar(name, sys.stderr) if sys.stderr.isatty() else Lines(name, sys.stderr)

"""The progress of a run over many recordings, on standard error."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from typing import TextIO

from onecard_client._output.console import is_terminal, printable

BAR_WIDTH = 20
# A terminal is redrawn so often, and a log gets a line so often.
DRAW_S = 0.2
LINE_S = 30.0


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        total: files to do; None for a folder that is watched.
        audio_s: seconds of audio that are done.
        left_s: seconds of audio that are left; None where nobody can tell yet.
        speed: seconds of audio in a second.
    """

    done: int
    failed: int
    total: int | None
    audio_s: float
    left_s: float | None
    speed: float

    def __str__(self) -> str:
        files = f"{self.done} files" if self.total is None else f"{self.done} of {self.total} files"
        failed = f", {self.failed} failed" if self.failed else ""
        audio = f"{clock(self.audio_s)} of audio"
        if self.left_s is None:
            return f"{files}{failed}, {audio}"
        if self.total is None or not self.speed:
            return f"{files}{failed}, {audio}, {self.speed:.1f}x"
        left = clock(self.left_s / self.speed)
        return f"{files}{failed}, {audio}, {self.speed:.1f}x, {left} left"

    @property
    def share(self) -> float | None:
        """From 0 to 1, by seconds of audio; None where nobody knows."""
        if self.total is None or self.left_s is None:
            return None
        whole_s = self.audio_s + self.left_s
        return self.audio_s / whole_s if whole_s else 1.0


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, as `1:02:03`, or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Silent:
    """Shows nothing."""

    def show(self, state: State) -> None:
        """Takes note of `state`."""

    def clear(self) -> None:
        """Leaves the terminal as a following line wants it."""


class Lines(Silent):
    """A line now and then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told_s = time.monotonic()

    def show(self, state: State) -> None:
        if time.monotonic() - self._told_s >= LINE_S:
            self._told_s = time.monotonic()
            print(state, file=self._stream, flush=True)


class Bar(Silent):
    """One line that is drawn over and over, below everything else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn_s = float("-inf")
        self._is_there = False

    def show(self, state: State) -> None:
        now_s = time.monotonic()
        if self._is_there and now_s - self._drawn_s < DRAW_S:
            return
        self._drawn_s, self._is_there = now_s, True
        share = state.share
        bar = (
            "" if share is None else f"[{('#' * round(share * BAR_WIDTH)).ljust(BAR_WIDTH, '.')}] "
        )
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r\033[K" + printable(f"{bar}{state}")[:width])
        self._stream.flush()

    def clear(self) -> None:
        if self._is_there:
            self._is_there = False
            self._stream.write("\r\033[K")
            self._stream.flush()


def display(*, wanted: bool | None, verbose: bool) -> Silent:
    """The display of a run; `wanted` overrides what `verbose` says."""
    if not (verbose if wanted is None else wanted) or sys.stderr is None:
        return Silent()
    return Bar(sys.stderr) if is_terminal(sys.stderr) else Lines(sys.stderr)

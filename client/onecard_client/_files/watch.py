"""A folder that fills: what has come, once it stands still."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from onecard_client._files.selection import AudioFile, Problem, Selection
from onecard_client._files.targets import identity


class Watch:
    """The files of a folder that are not being written any more, each once for each change.

    A file is taken when its size and its time are what they were at the look before. One that is
    written to afterwards, is another one.

    Args:
        interval_s: between two looks.
        report: called with what cannot be read, once while it is so.
    """

    def __init__(
        self,
        folder: str,
        selection: Selection,
        interval_s: float,
        report: Callable[[Problem], object],
    ) -> None:
        self._folder = folder
        self._selection = selection
        self._interval_s = interval_s
        self._report = report
        self._next_s = float("-inf")
        self._last: dict[str, tuple[int, int]] = {}
        self._taken: dict[str, tuple[int, int]] = {}
        self._told: set[Problem] = set()

    def look(self) -> tuple[list[AudioFile], list[AudioFile]]:
        """All files that are there, and those among them to take now; none before it is time."""
        if time.monotonic() < self._next_s:
            return [], []
        self._next_s = time.monotonic() + self._interval_s
        there = self._selection.folder(self._folder)
        self._tell()
        states = {one.file: _state(one.file) for one in there}
        ready = [
            one
            for one in there
            if (state := states[one.file]) is not None
            and state == self._last.get(one.file)
            and state != self._taken.get(identity(one.file))
        ]
        self._last = {file: state for file, state in states.items() if state is not None}
        for one in ready:
            self._taken[identity(one.file)] = self._last[one.file]
        return there, ready

    def _tell(self) -> None:
        problems = set(self._selection.problems)
        self._selection.problems.clear()
        for problem in sorted(problems - self._told, key=lambda one: one.file):
            self._report(problem)
        self._told = problems


def _state(file: str) -> tuple[int, int] | None:
    """Size and time; None of what is empty, which somebody will write, or gone."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if found.st_size else None

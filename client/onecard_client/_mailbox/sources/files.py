"""Files and folders, opened for reading only, and the messages about unreadable ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from onecard_client._mailbox.mime import NotAMail

Report = Callable[[str], None]

# About one file; a list of a million numbers is told of in fewer lines.
MAX_REPORTS = 100

# A shell's `<(...)` and standard input by name: pipes whose other end is there already.
_STREAMS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/", "/dev/null")
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class Tell(NamedTuple):
    """The callbacks for what reading has to report.

    Attributes:
        report: of each thing that was passed over and may be a mail, in one line.
        note: of what was passed over as it should be (mails in the bin, files that are no mails).
    """

    report: Report
    note: Report


class Reports:
    """The first reports about a file, and how many more there would have been."""

    def __init__(self, name: str, report: Report) -> None:
        self._name = name
        self._report = report
        self._num_problems = 0

    def __call__(self, problem: str) -> None:
        self._num_problems += 1
        if self._num_problems <= MAX_REPORTS:
            self._report(problem)

    def end(self) -> None:
        """Tell of those that were not told."""
        if self._num_problems > MAX_REPORTS:
            num_more = self._num_problems - MAX_REPORTS
            self._report(f"{self._name}: {num_more} more problems of the same file")


def open_file(path: Path) -> BinaryIO:
    """A file to read from; opening a pipe would wait for somebody who writes.

    Raises:
        NotAMail: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
    """
    if not str(path).startswith(_STREAMS):
        found = special(path.stat().st_mode)
        if found:
            raise NotAMail(f"is {found}, must be a file; give what it has on standard input (`-`)")
    return path.open("rb")


def special(mode: int) -> str:
    """The kind of a path that is not a file, such as `a named pipe`; empty for a file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "no file")


def shown(path: Path | str) -> str:
    """A path in one line of UTF-8, as ids and reports need it."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def reason(error: BaseException) -> str:
    """Why it could not be read, in one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join((text or type(error).__name__).split())

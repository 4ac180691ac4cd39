"""Triton's log, line by line, as what a person at a terminal wants to read of it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import IO

from build_scripts.console import JSON_LINE

MAX_READ_BYTES = 4 * 2**20  # at one look; whoever is further behind misses what is older
MAX_MESSAGES_BYTES = 4 * 2**20  # of what a detached `serve` says
MAX_KEPT_BYTES = 64 * 2**20  # of all logs of servers that are gone: in a container they are memory

# `I1121 05:12:14.359912 13141 model_lifecycle.cc:839] "successfully loaded 'lm'"`
_LINE = re.compile(r"^([IWEF])\d{4} \S+ +\d+ [\w.]+:\d+\] ?(.*)$")
# Said on every machine without a GPU, or without NVIDIA's data centre manager; nothing is wrong.
_HARMLESS = (
    "nable to allocate pinned system memory",
    "failed to allocate pinned system memory",
    "CudaDriverHelper has not been initialized",
    "DCGM unable to start",
    "Failed to initialize NVML",
    "unable to create stream for",
    "Unable to get device",
    "Non-graceful termination detected",
    "HandleCancellation called even when the context was not cancelled",  # a stream's normal end
)
_REPEATED = re.compile(r"^\.\.\. repeated \d+ times$")  # the line before (`log_writer`)
_SAID_AGAIN = "ERROR: Failed to create instance"  # by "failed to load"
_LOADING = re.compile(r"loading: (\S+?):\d+")
_LOADED = re.compile(r"successfully loaded '([^']+)'")
_FROZEN = "<frozen importlib"  # Python's own import machinery, in every traceback
_LABELS = {"W": "warning", "E": "error", "F": "fatal"}


def is_harmless(line: str) -> bool:
    """Whether it is said where nothing is wrong, and so explains no failure."""
    return any(sign in line for sign in _HARMLESS)


class Reader:
    """Turns raw lines into readable ones; counts the models that are loading and loaded."""

    def __init__(self) -> None:
        self.loading: list[str] = []
        self.loaded: list[str] = []
        self._continues = False  # the last line shown goes on in lines without a prefix
        self._was_shown = False  # the last line was

    def read(self, line: str) -> str | None:
        """The line to show for `line`, or None."""
        if not self._was_shown and _REPEATED.match(line):
            return None
        shown = self._read(line.rstrip("\n"))
        self._was_shown = shown is not None
        return shown

    def _read(self, line: str) -> str | None:
        if is_harmless(line) or _SAID_AGAIN in line:
            self._continues = False
            return None
        match = _LINE.match(line)
        if match is None:
            return self._unprefixed(line)
        severity, text = match[1], match[2].strip().strip('"')
        self._continues = severity != "I" or text.startswith("[onecard]")
        if severity in _LABELS:
            return f"{_LABELS[severity]}: {_unescaped(text)}"
        return self._progress(text)

    def _progress(self, text: str) -> str | None:
        if match := _LOADING.search(text):
            self.loading.append(match[1])
            return None
        if "Failed to preinitialize" in text:  # of all things at the level of information
            return f"error: {_unescaped(text)}"
        if match := _LOADED.search(text):
            self.loaded.append(match[1])
            count = f"{len(self.loaded)} of {max(len(self.loading), len(self.loaded))}"
            return f"loaded {match[1]} ({count})"
        return None

    def _unprefixed(self, line: str) -> str | None:
        """Tables and blank lines are left out; what a model printed and tracebacks are not."""
        if line.startswith(JSON_LINE):  # of a model's request, where a log of JSON is asked for
            self._continues = False
            return line
        if not line.strip() or line[0] in "+|" or line.startswith("Signal (") or _FROZEN in line:
            return None
        return f"  {line}" if self._continues else line


class Tail:
    """The lines that were appended to a file since the last look; a partial line waits.

    Where another file is in its place since, the one that was set aside is read to its end first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """Whole new lines, decoded; of very many, the last."""
        new = b""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self._inode:
                new = self._rest_of(aside(self._path))
                self._inode, self._offset = inode, 0
            new += self._read(file)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def _rest_of(self, path: Path) -> bytes:
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if os.fstat(file.fileno()).st_ino == self._inode:
                return self._read(file)
        return b""

    def _read(self, file: IO[bytes]) -> bytes:
        size = os.fstat(file.fileno()).st_size
        if size < self._offset:  # it was emptied
            self._offset = 0
        file.seek(max(self._offset, size - MAX_READ_BYTES))
        new = file.read(MAX_READ_BYTES)
        self._offset = file.tell()
        return new


def aside(path: Path) -> Path:
    """The path to which a log is moved that grew too long, or that the next server replaces."""
    return path.with_suffix(".log.1")


def is_output(path: Path) -> bool:
    """Whether what this process prints goes to the end of the file."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(1), path.stat())
    return False


def shorten(path: Path, max_bytes: int = MAX_MESSAGES_BYTES) -> None:
    """Begin a file anew that has grown too long and that others append to; its end is kept aside.

    What is appended between the copy and the cut is lost.
    """
    with contextlib.suppress(OSError):
        if path.stat().st_size > max_bytes:
            aside(path).write_bytes(path.read_bytes()[-max_bytes:])
            os.truncate(path, 0)


def prune(
    folder: Path,
    in_use: Collection[str] = (),
    num_kept: int = 20,
    max_bytes: int = MAX_KEPT_BYTES,
) -> None:
    """Remove all but the newest logs; tests and demos leave one for every port they had.

    `in_use`: the names of the servers that run, whose logs stay however long they are silent.
    """
    names = {f"{kind}-{server}.log" for kind in ("gateway", "serve", "server") for server in in_use}
    found = {path: path.stat() for path in folder.glob("*.log*") if path.name not in names}
    total = 0
    for number, path in enumerate(sorted(found, key=lambda path: -found[path].st_mtime)):
        total += found[path].st_size
        if number >= num_kept or total > max_bytes:
            path.unlink(missing_ok=True)


def reason(path: Path, max_lines: int = 12) -> list[str]:
    """Why a server ended, from its log: the models that failed, else the last readable lines."""
    reader = Reader()
    read = [reader.read(line) for line in Tail(path).lines()]
    shown = [line for line in read if line and not line.startswith(("loaded ", JSON_LINE))]
    failed = [
        line for line in shown if line.startswith(("error: failed to load", "error: Failed to"))
    ]
    return failed or shown[-max_lines:]


def _unescaped(text: str) -> str:
    lines = text.replace('\\"', '"').split("\\n")
    return "\n  ".join(line for line in lines if line.strip() and _FROZEN not in line)

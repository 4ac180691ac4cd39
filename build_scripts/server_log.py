"""Triton's log, line by line, as what a person at a terminal wants to read of it.

It knows the format and which lines are harmless; the full text stays in the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

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

    def read(self, line: str) -> str | None:
        """The line to show for `line`, or None."""
        line = line.rstrip("\n")
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
        if not line.strip() or line[0] in "+|" or line.startswith("Signal (") or _FROZEN in line:
            return None
        return f"  {line}" if self._continues else line


class Tail:
    """The lines that were appended to a file since the last look; a partial line waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """Whole new lines, decoded."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def prune(folder: Path, in_use: Collection[str] = (), num_kept: int = 20) -> None:
    """Remove all but the newest logs; tests and demos leave one for every port they had.

    `in_use`: the names of the servers that run, whose logs stay however long they are silent.
    """
    names = {f"{kind}-{server}.log" for kind in ("serve", "server") for server in in_use}
    logs = sorted(
        (path for path in folder.glob("*.log*") if path.name not in names),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in logs[num_kept:]:
        path.unlink(missing_ok=True)


def reason(path: Path, max_lines: int = 12) -> list[str]:
    """Why a server ended, from its log: the models that failed, else the last readable lines."""
    reader = Reader()
    read = [reader.read(line) for line in Tail(path).lines()]
    shown = [line for line in read if line and not line.startswith("loaded ")]
    failed = [
        line for line in shown if line.startswith(("error: failed to load", "error: Failed to"))
    ]
    return failed or shown[-max_lines:]


def _unescaped(text: str) -> str:
    lines = text.replace('\\"', '"').split("\\n")
    return "\n  ".join(line for line in lines if line.strip() and _FROZEN not in line)

"""One recording of a run, and what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from onecard_client._output.names import shown
from onecard_client._output.results import extensions


@dataclass(frozen=True)
class Recording:
    """One recording to transcribe.

    Attributes:
        file: a path, an address, or STDIN.
        folder: where its results go.
        stem: of its results.
        below: `folder` as seen from the folder of all results.
        num_bytes: as it was found; 0 where nobody knows.
        changed_ns: when it was last changed, as it was found.
    """

    file: str
    folder: Path
    stem: str
    below: Path = Path()
    num_bytes: int = 0
    changed_ns: int = 0

    @property
    def name(self) -> str:
        """Its name for people."""
        return shown(self.file)

    def results(self, output_format: str) -> list[Path]:
        """The files that a format, or `all`, stands for, whether they exist or not."""
        return [self.folder / f"{self.stem}.{ending}" for ending in extensions(output_format)]


def reason(error: Exception, file: str) -> str:
    """What went wrong with `file`, for a line that begins with its name."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    elsewhere = error.filename is not None and str(error.filename) != file
    return f"{error.strerror}: `{shown(str(error.filename))}`" if elsewhere else error.strerror


def state(file: str) -> tuple[int, int]:
    """The bytes of `file`, and when it was changed in nanoseconds; 0 where nobody knows."""
    try:
        found = os.stat(file)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns

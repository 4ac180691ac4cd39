"""The recordings that failed, in a file from which they can be tried again."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecard_client._files.recording import Recording
from onecard_client._files.selection import AudioFile, Problem
from onecard_client._files.targets import identity
from onecard_client._output.results import write_atomically

NAME = "failed.jsonl"


class NotFailures(ValueError):
    """A file under this name holds something else."""


@dataclass(frozen=True)
class Failure:
    """A recording that failed.

    Attributes:
        stem: of the results that it would have; None where it did not come so far.
        kind: the name of the error's class; empty for a file that was not sent.
    """

    file: str
    below: str
    stem: str | None
    error: str
    kind: str = ""

    def found(self) -> AudioFile:
        return AudioFile(self.file, Path(self.below), self.stem)


class Failures:
    """What failed and was not done since. The file is there while there are any.

    Raises:
        NotFailures: the file under the name is none of ours.
        OSError: it cannot be read.
    """

    def __init__(self, output_dir: Path) -> None:
        self.path = output_dir / NAME
        self._of = {identity(one.file): one for one in _read(self.path)}

    def found(self) -> list[AudioFile]:
        """The recordings to try again."""
        return [failure.found() for failure in self._of.values()]

    def forget_lost(self) -> None:
        """Takes out what is not there any more."""
        gone = [key for key, one in self._of.items() if not os.path.lexists(one.file)]
        for key in gone:
            del self._of[key]
        if gone:
            self._write()

    def add(self, recording: Recording, error: str, kind: str) -> None:
        """Raises: OSError."""
        self._add(
            Failure(
                os.path.abspath(recording.file), str(recording.below), recording.stem, error, kind
            )
        )

    def add_problem(self, problem: Problem) -> None:
        """Raises: OSError."""
        self._add(Failure(os.path.abspath(problem.file), "", None, problem.reason))

    def done(self, recording: Recording) -> None:
        """Takes out what is done by now. Raises: OSError."""
        if self._of.pop(identity(recording.file), None) is not None:
            self._write()

    def _add(self, failure: Failure) -> None:
        self._of[identity(failure.file)] = failure
        self._write()

    def _write(self) -> None:
        if not self._of:
            self.path.unlink(missing_ok=True)
            return
        lines = [json.dumps(vars(failure)) + "\n" for failure in self._of.values()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, "".join(lines))


def _read(path: Path) -> list[Failure]:
    with contextlib.suppress(FileNotFoundError):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            return [Failure(**_checked(json.loads(line))) for line in lines if line.strip()]
        except (ValueError, TypeError) as error:
            raise NotFailures(
                f"`{path}` holds something else than recordings that failed ({error}); move it, or "
                "name another --output-dir"
            ) from error
    return []


def _checked(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict) or not isinstance(document.get("file"), str):
        raise ValueError("a line has no `file`")
    return document

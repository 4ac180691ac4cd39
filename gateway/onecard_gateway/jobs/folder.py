"""The folder of jobs: one gateway's alone, closed to other users, a file for each recording."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from onecard_gateway.jobs.job import JobsError

_MODE, _FILE_MODE = 0o700, 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_ENDING = ".recording"
_PIECE_BYTES = 2**20


class Folder:
    """Makes the folder if there is none, and holds it until it is closed or the process ends.

    Raises JobsError for one that cannot be had, that others may read, or that another gateway has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=_MODE, parents=True, exist_ok=True)
            mode = path.stat().st_mode
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, _FILE_MODE)
        except OSError as error:
            raise JobsError(
                f"the folder of jobs cannot be had ({error}); correct that, or name another one "
                "with --jobs-folder"
            ) from error
        try:
            self._verify(mode)
        except JobsError:
            os.close(self._lock)
            raise

    def _verify(self, mode: int) -> None:
        if mode & _OTHERS:
            raise JobsError(
                f"the folder of jobs is open to others than its owner (mode "
                f"{stat.S_IMODE(mode):o}), must be 700; chmod it"
            )
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JobsError(
                "another gateway has the folder of jobs; ask that one, or give this one a folder "
                "of its own with --jobs-folder"
            ) from error

    def recording(self, job_id: str) -> Path:
        """Where a job's recording is."""
        return self.path / f"{job_id}{_ENDING}"

    def keep(self, job_id: str, audio: BinaryIO) -> None:
        """Copies a recording, and returns when it is on the disk."""
        number = os.open(self.recording(job_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
        with open(number, "wb") as file:
            shutil.copyfileobj(audio, file, _PIECE_BYTES)
            file.flush()
            os.fsync(number)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove(self, job_id: str) -> None:
        """Deletes a recording, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self.recording(job_id).unlink()

    def remove_others(self, job_ids: Collection[str]) -> None:
        """Deletes the recordings of all other jobs."""
        for path in self.path.glob(f"*{_ENDING}"):
            if path.name.removesuffix(_ENDING) not in job_ids:
                self.remove(path.name.removesuffix(_ENDING))

    def close(self) -> None:
        os.close(self._lock)

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
_TRANSCRIPT = ".transcript"  # of a recording whose minutes are being made
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

    def transcript(self, job_id: str) -> Path:
        """Where a job's transcript is, once there is one."""
        return self.path / f"{job_id}{_TRANSCRIPT}"

    def keep_transcript(self, job_id: str, text: str) -> None:
        """Writes a transcript, which is there as a whole or not at all."""
        path = self.transcript(job_id)
        part = path.with_suffix(".part")
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        part.replace(path)

    def remove(self, job_id: str) -> None:
        """Deletes a recording and its transcript, if they are there."""
        path = self.transcript(job_id)
        for file in (self.recording(job_id), path, path.with_suffix(".part")):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()

    def remove_others(self, job_ids: Collection[str]) -> None:
        """Deletes the recordings and transcripts of all other jobs."""
        for path in self.path.glob("job_*.*"):
            if path.stem not in job_ids:
                self.remove(path.stem)

    def close(self) -> None:
        os.close(self._lock)

"""A file that verdicts are added to: whole lines, whatever happens, and one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from onecard_client._output.new_file import create_beside
from onecard_client._verdicts.lines import Place

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# After a power cut at most so much of what was shown has to be judged again.
SYNC_INTERVAL_S = 1.0
# Where a file system has no locks, two runs at once cannot be told.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class OutputFailed(Exception):
    """Verdicts cannot be written; the message says what is kept and what to do."""


class Busy(Exception):
    """Another process writes the same file."""


def reason(error: OSError) -> str:
    return error.strerror or str(error)


class Appender:
    """A file of lines, opened to add to it.

    Args:
        num_bytes: what stays of it; a last line that was torn is cut off.

    Raises:
        OSError: it cannot be opened, or is no file.
    """

    def __init__(self, path: Path, num_bytes: int) -> None:
        # whatever somebody else planted under this name is not followed
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.open(path, flags, 0o666)
        self._num_bytes = num_bytes
        self._synced_s = time.monotonic()
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", str(path))
            os.ftruncate(self._file, num_bytes)
            self._end_line()
            _sync_folder(path)
        except BaseException:
            os.close(self._file)
            raise

    def add(self, line: bytes) -> Place:
        """Writes all of `line`, or nothing of it. Raises: OSError."""
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            # needs no room
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._num_bytes)
            raise
        place = Place(self._num_bytes, len(line))
        self._num_bytes += len(line)
        if time.monotonic() - self._synced_s >= SYNC_INTERVAL_S:
            self.sync()
        return place

    def sync(self) -> None:
        """Waits until what was added is on the disk. Raises: OSError."""
        os.fsync(self._file)
        self._synced_s = time.monotonic()

    def close(self) -> None:
        os.close(self._file)

    def _end_line(self) -> None:
        """A last line without its line feed, as editors leave it, gets one."""
        if self._num_bytes:
            os.lseek(self._file, self._num_bytes - 1, os.SEEK_SET)
            if os.read(self._file, 1) != b"\n":
                self.add(b"\n")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes from writing `path`; the lock ends with the process, however it ends.

    The lock is a file next to `path`: `path` itself is replaced at the end, with any lock on it.

    Raises:
        Busy: another process has it.
        OSError: there can be no file next to `path`.
    """
    beside = path.with_name(f".{path.name}.lock")
    file = _take(beside, path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
        os.close(file)


def _take(beside: Path, path: Path) -> int:
    while True:
        file = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(file, 20).decode("ascii", "replace").strip()
            os.close(file)
            raise Busy(
                f"another onecard{f' (process {owner})' if owner else ''} writes to `{path}`, "
                "must be one at a time; wait for it, or name another file for the output"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(file)
                raise
        if _is_still(file, beside):
            with contextlib.suppress(OSError):  # a full disk
                os.truncate(file, 0)
                os.write(file, f"{os.getpid()}\n".encode())
            return file
        os.close(file)  # the process that had the lock has removed the file


def _is_still(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def whole_line(file: BinaryIO, place: Place) -> bytes:
    file.seek(place.start)
    return file.read(place.num_bytes).removesuffix(b"\n") + b"\n"


def merge(path: Path, sources: Iterable[tuple[Path, Iterable[Place]]]) -> None:
    """Puts lines of files together in a new one, which then becomes `path`. Raises: OSError."""
    new, target = create_beside(path, "new")
    try:
        with target:
            for source, places in sources:
                with source.open("rb") as file:
                    target.writelines(whole_line(file, place) for place in places)
            target.flush()
            os.fsync(target.fileno())
        replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def replace(new: Path, path: Path) -> None:
    """Renames `new` to `path`, which keeps its permissions. Raises: OSError."""
    with contextlib.suppress(OSError):
        new.chmod(stat.S_IMODE(path.stat().st_mode))
    os.replace(new, path)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    """Makes the name of a file outlive a power cut."""
    with contextlib.suppress(OSError):  # a folder that cannot be opened, as on Windows
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

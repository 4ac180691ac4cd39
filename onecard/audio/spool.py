"""Files without a name that hold one recording while it is worked on, and their way to a model.

A recording of hours is large, both as it was sent and as decoded samples, and every step needs a
few seconds of it at a time. So both forms are on disk and not in the memory of each process. A
spool has no name, so that nothing is left of it when its process ends, however it ends. Another
process of the same user opens it through its owner's descriptor (`/proc/PID/fd`, proc(5)).
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import secrets
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from onecard.audio import Pcm
from onecard.errors import Cancelled, InvalidRequest, Unavailable, named

_ITEM_BYTES = np.dtype(np.int16).itemsize
_SHAPE = re.compile(r"\d{1,9}(x\d{1,9}){0,3}")
_REFERENCE = re.compile(r"(\d{1,9})/(\d{1,9})/(onecard-[0-9a-f]{32})")


class Spool:
    """One file, in the directory for temporary files; closed with its block, or with the last user.

    Raises:
        Unavailable: there is no room for it.
        OSError: the directory cannot be written to.

    Attributes:
        size: bytes written with `write`.
        reference: what `opened` takes in another process; nobody can guess it.
    """

    def __init__(self) -> None:
        name = f"onecard-{secrets.token_hex(16)}"
        path = directory() / name
        with _room():
            self._number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._closes = weakref.finalize(self, os.close, self._number)
        self._lock = threading.Lock()  # its number is another file's as soon as it is closed
        path.unlink()
        self.size = 0
        self.reference = f"{os.getpid()}/{self._number}/{name}"

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give its room back, also while other threads use it; may be called more than once."""
        with self._lock:
            self._closes()

    @property
    def is_closed(self) -> bool:
        return not self._closes.alive

    def write(self, data: bytes) -> None:
        """Append `data`."""
        left = memoryview(data)
        with _room(), self._open() as number:
            while left:
                left = left[os.write(number, left) :]
        self.size += len(data)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        """Its descriptor, which is not closed meanwhile.

        Raises Cancelled where it was before: nobody waits for what it held.
        """
        with self._lock:
            if self.is_closed:
                raise Cancelled("the spool is closed, its recording was given up; send it again")
            yield self._number

    @property
    def num_samples(self) -> int:
        """Samples that another process has written."""
        with self._open() as number:
            return os.fstat(number).st_size // _ITEM_BYTES

    def samples(self, first: int, last: int) -> Pcm:
        """Samples [first, last), as far as there are any; threads may share a spool."""
        last = min(last, self.num_samples)
        return np.frombuffer(self.read(first * _ITEM_BYTES, last * _ITEM_BYTES), np.int16)

    def read(self, first: int, last: int) -> bytes:
        """Bytes [first, last)."""
        with self._open() as number:
            return os.pread(number, max(0, last - first), first)


class Rows:
    """A float32 array [rows, ...] in a spool, which comes in parts and is read in parts."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._row: tuple[int, ...] = ()
        self._num_rows = 0

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; see `Spool.close`."""
        self._spool.close()

    def __len__(self) -> int:
        return self._num_rows

    def append(self, part: npt.NDArray[np.float32]) -> None:
        """More rows, each like those before."""
        self._spool.write(np.ascontiguousarray(part, np.float32).tobytes())
        self._row = part.shape[1:]
        self._num_rows += len(part)

    def part(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Rows [first, last)."""
        size = math.prod(self._row) * 4
        data = self._spool.read(first * size, last * size)
        return np.frombuffer(data, np.float32).reshape(last - first, *self._row)

    @property
    def reference(self) -> str:
        """The reference that `rows` takes in another process: the spool's, and the shape."""
        shape = "x".join(str(length) for length in (self._num_rows, *self._row))
        return f"{self._spool.reference}:{shape}"


def rows(reference: str) -> npt.NDArray[np.float32]:
    """The whole of another process's `Rows`. Raises InvalidRequest as `opened`."""
    name, _, shape = reference.partition(":")
    if not _SHAPE.fullmatch(shape):
        raise InvalidRequest(f"{named(reference)} has no shape, must end in one, as `:9x293x3`")
    with opened(name) as file:
        found = np.fromfile(file, np.float32)
    lengths = [int(length) for length in shape.split("x")]
    if len(found) != math.prod(lengths):
        raise InvalidRequest(f"{named(reference)} has {len(found)} numbers, must have {shape}")
    return found.reshape(lengths)


@contextlib.contextmanager
def opened(reference: str) -> Iterator[BinaryIO]:
    """The file of another process's spool, to read and write.

    Raises:
        InvalidRequest: `reference` is no spool's.
        RuntimeError: it is another file by now or never was, or the holder's files cannot be seen.
        Unavailable: it is closed, or there is no room for what is written in the block.
    """
    found = _REFERENCE.fullmatch(reference)
    if not found:
        raise InvalidRequest(f"{named(reference)} is no reference of a spool; send AUDIO instead")
    pid, number, name = found.groups()
    link = f"/proc/{pid}/fd/{number}"
    # Anybody can count through numbers; only the holder knows the name that the file had. After
    # opening again, as the number may have become another file's in between.
    _verify(link, name)
    with _room(), open(link, "r+b") as file:
        _verify(f"/proc/self/fd/{file.fileno()}", name)
        yield file


def is_held(reference: str) -> bool:
    """Whether the owner of the spool at `reference` still has it open."""
    found = _REFERENCE.fullmatch(reference)
    if not found:
        return False
    pid, number, name = found.groups()
    try:
        return _is_spool(os.readlink(f"/proc/{pid}/fd/{number}"), name)
    except OSError:
        return False


def _is_spool(target: str, name: str) -> bool:
    return os.path.basename(target) == f"{name} (deleted)"


def _verify(link: str, name: str) -> None:
    try:
        target = os.readlink(link)
    except FileNotFoundError as error:
        raise Unavailable(
            "the recording was given up by whoever sent it, or by its time; send it again"
        ) from error
    except OSError as error:
        raise RuntimeError(
            f"the spool at `{link}` cannot be seen ({error}); the processes of a server must be of "
            "one user and see each other in /proc"
        ) from error
    if not _is_spool(target, name):
        raise RuntimeError(f"`{link}` is `{target}`, must be the spool `{name}`; it was closed")


def directory() -> Path:
    """Where spools lie: TMPDIR, or where temporary files lie otherwise.

    `tempfile` looks elsewhere where TMPDIR is full, which then fills next.
    """
    return Path(os.environ.get("TMPDIR") or tempfile.gettempdir())


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unavailable(
            f"`{directory()}` has no room for the recording; try again later, or let "
            "whoever runs the server free some, or set TMPDIR"
        ) from error

"""What every fetched file goes through: is there room for it, and is it the right one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from build_scripts.console import mib
from build_scripts.errors import DownloadError

BLOCK_BYTES = 1 << 20

Free = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of `folder`."""
    return shutil.disk_usage(folder).free


def verify_room(folder: Path, num_bytes: int, free: Free, what: str) -> None:
    """Raises DownloadError where the disk of `folder` has fewer bytes free than `num_bytes`."""
    found = free(folder)
    if found < num_bytes:
        raise DownloadError(
            f"the disk of `{folder}` has {mib(found)} free, wanted {mib(num_bytes)} for {what}: "
            "make room, or put engines/ on a larger disk"
        )


def verify(path: Path, found: str, wanted: str, what: str, cure: str, whence: str = "") -> None:
    """Remove a file that has another sha256 than the one that is wanted.

    Args:
        found: the file's sha256.
        whence: where `wanted` is stated, for the message.

    Raises:
        DownloadError: it was another one.
    """
    if found != wanted:
        path.unlink()
        raise DownloadError(
            f"{what} has sha256 `{found}`, wanted `{wanted}`{whence}; it was removed. {cure}"
        )


def git_sha1(path: Path) -> str:
    """What git calls a file with this content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()

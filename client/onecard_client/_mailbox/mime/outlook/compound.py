"""Storages and streams of an OLE file (MS-CFB), which Outlook's .msg is."""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple

from olefile import OleFileIO  # type: ignore[import-untyped]
from olefile.olefile import (  # type: ignore[import-untyped]
    MAGIC,
    STGTY_STORAGE,
    STGTY_STREAM,
)

# A message to 1000 people with 100 files has 30,000.
MAX_ENTRIES = 50_000
MAX_DEPTH = 40
_SECTOR_SHIFTS = (9, 12)
_MINI_SECTOR_SHIFT = 6
_HEADER_SIZE = 512


class Storage(NamedTuple):
    """A folder within the file; names are in small letters, for writers differ in that."""

    streams: dict[str, bytes]
    storages: dict[str, Storage]


def is_compound(content: bytes) -> bool:
    return content.startswith(MAGIC)


def read_compound(content: bytes) -> Storage:
    """The root, with everything in it.

    Reads no more bytes than the file has, whatever it says of its sizes: olefile follows a chain
    that is a loop for as long as the declared size goes.

    Raises:
        ValueError: it is damaged, cut off, or says impossible things of itself.
    """
    _check_header(content)
    try:
        with _CompoundFile(io.BytesIO(content)) as file:
            root: Storage = file.storage(file.root, _Budget(2 * len(content)), 0)
            return root
    except ValueError:
        raise
    except (RecursionError, MemoryError) as error:
        raise ValueError("nested too deeply, or too large") from error
    except Exception as error:  # its own kinds, and others for what it did not meet
        raise ValueError(str(error) or type(error).__name__) from error


def _check_header(content: bytes) -> None:
    if len(content) < _HEADER_SIZE:
        raise ValueError(f"{len(content)} bytes, which is less than its header has")
    sector_shift, mini_shift = struct.unpack_from("<HH", content, 30)
    if sector_shift not in _SECTOR_SHIFTS or mini_shift != _MINI_SECTOR_SHIFT:
        raise ValueError("sectors of a size that no such file has")
    (num_fat,) = struct.unpack_from("<I", content, 44)
    (num_mini_fat,) = struct.unpack_from("<I", content, 64)
    num_sectors = (len(content) >> sector_shift) + 1
    # One sector of the FAT is for 128 sectors or more; its first 109 are named in the header.
    if num_fat > num_sectors // 128 + 110 or num_mini_fat > num_sectors:
        raise ValueError("more sectors than the file has")


class _Budget:
    def __init__(self, num_bytes: int) -> None:
        self._num_bytes = num_bytes

    def spend(self, num_bytes: int) -> None:
        self._num_bytes -= num_bytes
        if self._num_bytes < 0:
            raise ValueError("streams that together are larger than the file")


class _CompoundFile(OleFileIO):
    """olefile's, without what takes a time that grows with the square of the number of entries."""

    def storage(self, entry: Any, budget: _Budget, depth: int) -> Storage:
        """The content of the storage `entry`; of two members with one name, the first."""
        if depth > MAX_DEPTH:
            raise ValueError("storages nested too deeply")
        found = Storage({}, {})
        for child in entry.kids:
            name = child.name.lower()
            if child.entry_type == STGTY_STREAM and name not in found.streams:
                budget.spend(child.size)
                found.streams[name] = self._open(child.isectStart, child.size).read()
            elif child.entry_type == STGTY_STORAGE and name not in found.storages:
                found.storages[name] = self.storage(child, budget, depth + 1)
        return found

    def loadminifat(self) -> None:
        _Budget(self._filesize).spend(self.root.size)
        super().loadminifat()

    def _load_direntry(self, sid: int) -> Any:
        if sid >= MAX_ENTRIES:
            raise ValueError(f"more than {MAX_ENTRIES} entries")
        return super()._load_direntry(sid)

    def _check_duplicate_stream(self, first_sect: int, minifat: bool = False) -> None:
        """Does nothing: the check searches a list for each stream; the budget bounds the work."""

"""Files that are sent while somebody still writes them."""

from __future__ import annotations

import asyncio
import io
import os
from typing import BinaryIO, cast

from onecard_client._transport.content import Content


class GrowingFile(Content):
    """Audio in a file that is not complete yet; `AsyncClient` sends each part when it has come.

    It belongs to the event loop that sends it. Whoever writes the file tells how far it is, and
    may go on writing: the file is read through a descriptor of this object's own.

    Args:
        file: the one that is written, from its first byte on.
    """

    def __init__(self, file: BinaryIO) -> None:
        reader = cast(BinaryIO, _Reader(os.dup(file.fileno())))
        super().__init__(reader, is_owned=True)
        self._num_bytes = 0
        self._is_whole = False
        self._has_changed = asyncio.Event()

    def grow(self, num_bytes: int) -> None:
        """The file has so many bytes now, and none of them is in a buffer of its writer's."""
        self._num_bytes = num_bytes
        self._tell()

    def end(self) -> None:
        """It has all of them."""
        self._is_whole = True
        self._tell()

    def _tell(self) -> None:
        self._has_changed.set()
        self._has_changed = asyncio.Event()

    async def reach(self, num_bytes: int) -> None:
        while self._num_bytes < num_bytes and not self._is_whole:
            await self._has_changed.wait()


class _Reader(io.RawIOBase):
    """A file read at a position of its own, whereas descriptors of one file share theirs."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
        num_bytes = os.fstat(self._descriptor).st_size
        self._position = offset + begin.get(whence, num_bytes)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

"""Content to send: bytes in memory, or a file that is read while it is sent."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO


class Content:
    """A binary file from where it stands to its end, sliced like bytes; threads may share it.

    Args:
        file: can be read at any position; closed with this, if `is_owned`.

    Attributes:
        failure: why a slice came back shorter than it had to.
    """

    def __init__(self, file: BinaryIO, *, is_owned: bool = False) -> None:
        self._file = file
        self._is_owned = is_owned
        self._lock = threading.Lock()
        self._start = file.tell()
        self._num_bytes = max(0, file.seek(0, io.SEEK_END) - self._start)
        self._on_failure: Callable[[], object] | None = None
        self.failure: OSError | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> Content:
        return cls(io.BytesIO(data), is_owned=True)

    def __len__(self) -> int:
        return self._num_bytes

    def __getitem__(self, part: slice) -> bytes:
        """The bytes of a forward slice. They are too few where the file cannot be read."""
        start, stop, _ = part.indices(self._num_bytes)
        try:
            with self._lock:
                self._file.seek(self._start + start)
                data = self._file.read(max(0, stop - start))
            if len(data) < stop - start:
                raise OSError(
                    None, "The file became shorter while it was sent; send it when it is complete"
                )
        except OSError as error:
            self._fail(error)
            return b""
        return data

    async def reach(self, num_bytes: int) -> None:
        """Returns when there are so many bytes, or all of them, as is so at once here."""

    def _fail(self, error: OSError) -> None:
        self.failure = error
        if self._on_failure is not None:
            self._on_failure()

    def on_failure(self, call: Callable[[], object]) -> None:
        """Has `call` called when a slice cannot be read, at once if that is so already."""
        self._on_failure = call
        if self.failure is not None:
            call()

    def __enter__(self) -> Content:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_owned:
            with self._lock:
                self._file.close()


def content(found: bytes | Content) -> Content:
    """`found` as content."""
    return found if isinstance(found, Content) else Content.from_bytes(found)

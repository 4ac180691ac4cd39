"""How many uploads a gateway holds at a time, and how much of the disk they have."""

from __future__ import annotations

from onecard_gateway.errors import Refusal

RETRY_AFTER_S = 10
# Half of a server's uploads, for recordings that still come; the others are for those that are
# whole (`MAX_UPLOADS` of `onecard.python_backend.uploads`).
MAX_AHEAD = 32


class Uploads:
    """The uploads of a gateway, from their first byte until they are answered."""

    def __init__(self, max_uploads: int, max_bytes: int) -> None:
        self._max_uploads = max_uploads
        self._max_bytes = max_bytes
        self._num_uploads = 0
        self._num_bytes = 0
        self._num_ahead = 0

    def begin(self, stated_bytes: int) -> Upload:
        """An upload that says to have so many bytes, 0 where it says nothing.

        Raises Refusal where there is no room for it.
        """
        if self._num_uploads >= self._max_uploads:
            raise _full(
                f"{self._num_uploads} uploads are under way, may be at most {self._max_uploads} "
                "(--uploads-at-a-time)"
            )
        self.take(stated_bytes, stated_bytes)
        self._num_uploads += 1
        return Upload(self, stated_bytes)

    def take(self, num_bytes: int, upload_bytes: int) -> None:
        """More bytes of an upload. Raises Refusal where there is no room for them.

        Args:
            upload_bytes: of the whole upload, as far as it has come.
        """
        if upload_bytes > self._max_bytes:
            raise Refusal(
                413,
                f"the upload has {upload_bytes} bytes, and all uploads together may have "
                f"{self._max_bytes}; compress it, or have --uploads-max-bytes raised",
            )
        if self._num_bytes + num_bytes > self._max_bytes:
            raise _full(
                f"the uploads under way have {self._num_bytes} bytes, may have at most "
                f"{self._max_bytes} with this one's {num_bytes} (--uploads-max-bytes)"
            )
        self._num_bytes += num_bytes

    def begin_ahead(self) -> bool:
        """Whether one more may go on to a server while it comes; `end_ahead` is called then."""
        if self._num_ahead >= MAX_AHEAD:
            return False
        self._num_ahead += 1
        return True

    def end_ahead(self) -> None:
        """It is whole, or does not go on."""
        self._num_ahead -= 1

    def end(self, num_bytes: int) -> None:
        """An upload with so many bytes is answered."""
        self._num_uploads -= 1
        self._num_bytes -= num_bytes


class Upload:
    """One of `Uploads`, with the room that it has reserved."""

    def __init__(self, uploads: Uploads, reserved_bytes: int) -> None:
        self._uploads = uploads
        self._reserved_bytes = reserved_bytes
        self._num_bytes = 0
        self._has_ended = False

    def grow(self, num_bytes: int) -> None:
        """More of it has come. Raises Refusal where there is no room for it."""
        self._num_bytes += num_bytes
        missing = self._num_bytes - self._reserved_bytes
        if missing > 0:
            self._uploads.take(missing, self._num_bytes)
            self._reserved_bytes += missing

    def end(self) -> None:
        """It is answered, or was given up."""
        if not self._has_ended:
            self._has_ended = True
            self._uploads.end(self._reserved_bytes)


def _full(what: str) -> Refusal:
    text = f"{what}; ask again in {RETRY_AFTER_S} s"
    return Refusal(503, text, code="unavailable", retry_after_s=RETRY_AFTER_S)

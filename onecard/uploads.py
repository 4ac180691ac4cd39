"""Recordings that come in several requests, so that nobody ever holds the whole of one in memory.

The first request opens an upload, and its answer is the recording's; those that follow are answered
with nothing. It knows threads and spools; it knows nothing of Triton or of what the bytes are.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from onecard import documents
from onecard.errors import InvalidRequest, Unavailable, named, shown
from onecard.spool import Spool
from onecard.streams import POLL_S

PATIENCE_S = 30.0  # without a part, before whoever works on an upload gives it up

# Parameters of a request. The client's side of it is `onecard_client._wire`.
UPLOAD, PART, IS_LAST = "upload", "part", "is_last"


@dataclass(frozen=True)
class Part:
    """Which part of which upload a request holds; a request that says nothing holds everything."""

    upload: str = ""  # a name that no other upload has, and nobody guesses
    number: int = 0
    is_last: bool = True

    @classmethod
    def of(cls, parameters: str) -> Part:
        """From the parameters of a request, a JSON object as text.

        Raises InvalidRequest for less than all of them, or values of other types.
        """
        found = documents.read("the request's parameters", parameters or "{}", "one of each")
        given = {name: found[name] for name in (UPLOAD, PART, IS_LAST) if name in found}
        if not given:
            return cls()
        upload, number, is_last = (given.get(name) for name in (UPLOAD, PART, IS_LAST))
        if not (isinstance(upload, str) and upload and type(number) is int and number >= 0
                and isinstance(is_last, bool)):  # fmt: skip
            raise InvalidRequest(
                f"the request has the parameters {shown(given)}, must have `{UPLOAD}` (a text), "
                f"`{PART}` (from 0 on) and `{IS_LAST}` (a boolean), or none of them"
            )
        return cls(upload, number, is_last)


class Upload:
    """One recording on its way in.

    Attributes:
        spool: what has come so far.
    """

    def __init__(self, max_bytes: int) -> None:
        self.spool = Spool()
        self._max_bytes = max_bytes
        self._num_parts = 0
        self._is_whole = False
        # What failed, told again to everybody: the exception itself would hold its frames.
        self._failure: tuple[type[Exception], str] | None = None
        self._came_s = time.monotonic()
        self._changed = threading.Condition()

    def add(self, part: Part, data: bytes) -> None:
        """Append a part. Where that or `wait` fails, so does every later call of either.

        Raises:
            InvalidRequest: it is not the next part, or makes more bytes than are served.
            Unavailable: there is no room for it.
        """
        with self._changed:
            self._check()
            try:
                self._append(part, data)
            except Exception as error:
                self._fail(error)
                raise
            finally:
                self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether everything has come, or something was wrong with it."""
        return self._is_whole or self._failure is not None

    def wait(self, check: Callable[[], None]) -> None:
        """Until everything has come.

        Args:
            check: raises where nobody waits for the answer any more; called now and then.

        Raises:
            Unavailable: no part came for PATIENCE_S.
        """
        with self._changed:
            try:
                while not self._is_whole:
                    self._check()
                    self._verify_patience()
                    self._changed.wait(POLL_S)
                    check()
            except Exception as error:
                self._fail(error)
                raise

    def _check(self) -> None:
        if self._failure is not None:
            kind, message = self._failure
            raise kind(message)

    def _fail(self, error: Exception) -> None:
        """Nobody will read what has come, and nothing more is to be written."""
        self._failure = type(error), str(error)
        self.spool.close()

    def _verify_patience(self) -> None:
        if time.monotonic() - self._came_s > PATIENCE_S:
            raise Unavailable(
                f"part {self._num_parts} of the upload did not come within {PATIENCE_S:g} s; send "
                "all parts one after the other"
            )

    def _append(self, part: Part, data: bytes) -> None:
        if part.number != self._num_parts:
            raise InvalidRequest(
                f"part {part.number} of the upload came, must be part {self._num_parts}; send them "
                "in order, over one stream"
            )
        if not data and not part.is_last:
            raise InvalidRequest(
                f"part {part.number} of the upload is empty, must hold something unless it is the "
                "last one"
            )
        if self.spool.size + len(data) > self._max_bytes:
            raise InvalidRequest(
                f"AUDIO has more than {self._max_bytes} bytes, which is the most that is served; "
                "compress it (Opus or MP3 lose nothing that matters here), or split it"
            )
        self.spool.write(data)
        self._num_parts += 1
        self._is_whole = part.is_last
        self._came_s = time.monotonic()


class Uploads:
    """Those under way, by name; one that nobody holds any more is gone."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._uploads: weakref.WeakValueDictionary[str, Upload] = weakref.WeakValueDictionary()

    def begin(self, part: Part, data: bytes) -> Upload:
        """The upload whose first part this is, for whoever works on it to hold.

        Raises:
            InvalidRequest, Unavailable: as `Upload.add`; also where the name is taken.
        """
        if part.upload in self._uploads:
            raise InvalidRequest(
                f"the upload {named(part.upload)} has begun already; give every one another name"
            )
        upload = Upload(self._max_bytes)
        upload.add(part, data)
        if not part.is_last:
            self._uploads[part.upload] = upload
        return upload

    def add(self, part: Part, data: bytes) -> None:
        """A later part.

        Raises:
            InvalidRequest, Unavailable: as `Upload.add`; also where there is no such upload.
        """
        upload = self._uploads.get(part.upload)
        if upload is None:
            raise InvalidRequest(
                f"there is no upload {named(part.upload)} under way; send parts from 0 to the last "
                "one, over one stream"
            )
        try:
            upload.add(part, data)
        finally:
            if upload.is_over:
                self._uploads.pop(part.upload, None)

"""Recordings that come in several requests, so that no process holds a whole one in memory.

The first request opens an upload, and its answer is the recording's result. Those that follow are
answered with nothing. An unfinished upload takes no place from recordings that are worked on.
Uploads are counted separately; each has a least rate and a longest time.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from onecard import documents
from onecard.audio.spool import Spool
from onecard.contract.pipeline import IS_LAST, PART, UPLOAD
from onecard.errors import InvalidRequest, Unavailable, named, shown
from onecard.python_backend.streams import POLL_S

PATIENCE_S = 60.0  # without a part, before an upload is given up
# A part of the client's in half a minute, as the mean since the upload began, after a while in
# which a link may recover: 270 kbit/s, where 3G has 384 and more.
MIN_BYTES_PER_S, GRACE_S = 1_000_000 / 30, 60.0
MAX_UPLOAD_S = 2 * 3600.0
MAX_UPLOADS = 64  # at a time
MAX_SHARES = 4  # of the most that one recording may have, for all that lie on disk


@dataclass(frozen=True)
class Part:
    """Which part of which upload a request holds; a request that says nothing holds everything."""

    upload: str = ""  # a name that no other upload has, and nobody guesses
    number: int = 0
    is_last: bool = True

    @classmethod
    def from_parameters(cls, parameters: str) -> Part:
        """The part that a request with these parameters, a JSON object as text, holds.

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
        self._began_s = self._came_s = time.monotonic()
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
        """Wait until all parts have arrived.

        Args:
            check: raises where nobody waits for the answer any more; called now and then.

        Raises:
            Unavailable: no part came for PATIENCE_S, or all of it comes too slowly.
        """
        with self._changed:
            try:
                while not self._is_whole:
                    self._check()
                    self._verify_pace()
                    self._changed.wait(POLL_S)
                    check()
            except Exception as error:
                self._fail(error)
                raise

    def fail(self, error: Exception) -> None:
        """Have `wait` raise `error`, and everything that has come thrown away."""
        with self._changed:
            self._fail(error)
            self._changed.notify_all()

    def _check(self) -> None:
        if self._failure is not None:
            kind, message = self._failure
            raise kind(message)

    def _fail(self, error: Exception) -> None:
        """Mark the upload as failed and delete what has arrived."""
        self._failure = type(error), str(error)
        self.spool.close()

    def _verify_pace(self) -> None:
        now_s = time.monotonic()
        if now_s - self._came_s > PATIENCE_S:
            raise Unavailable(
                f"part {self._num_parts} of the upload did not come within {PATIENCE_S:g} s; send "
                "all parts one after the other"
            )
        taken_s = now_s - self._began_s
        if self.spool.size < MIN_BYTES_PER_S * (taken_s - GRACE_S):
            raise Unavailable(
                f"{self.spool.size} bytes of the upload came in {taken_s:.0f} s, at least "
                f"{MIN_BYTES_PER_S:.0f} a second are wanted; compress the recording (Opus or MP3 "
                "lose nothing that matters here), or send it over a faster link"
            )
        if taken_s > MAX_UPLOAD_S:
            raise Unavailable(
                f"the upload did not end within {MAX_UPLOAD_S:.0f} s ({self.spool.size} bytes "
                "came); compress the recording, split it, or send it over a faster link"
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
    """The unfinished uploads by name; one that no request holds any more is dropped.

    Args:
        max_bytes: of each; of all that lie on disk, also of whole ones, MAX_SHARES times as many.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._uploads: weakref.WeakValueDictionary[str, Upload] = weakref.WeakValueDictionary()
        self._held: weakref.WeakSet[Upload] = weakref.WeakSet()

    def begin(self, part: Part, data: bytes) -> Upload:
        """Begin the upload whose first part this is; the caller keeps it while working on it.

        Raises:
            InvalidRequest, Unavailable: as `Upload.add`; also where the name is taken, or where
                MAX_UPLOADS are under way.
        """
        if part.upload in self._uploads:
            raise InvalidRequest(
                f"the upload {named(part.upload)} has begun already; give every one another name"
            )
        if not part.is_last and len(self._uploads) >= MAX_UPLOADS:
            raise Unavailable(
                f"{MAX_UPLOADS} uploads are under way, which is the limit; try again later"
            )
        self._verify_room(0, len(data))
        upload = Upload(self._max_bytes)
        upload.add(part, data)
        self._held.add(upload)
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
            self._verify_room(upload.spool.size, len(data))
            upload.add(part, data)
        except Unavailable as error:
            upload.fail(error)
            raise
        finally:
            if upload.is_over:
                self._uploads.pop(part.upload, None)

    def _verify_room(self, size: int, num_bytes: int) -> None:
        if size + num_bytes > self._max_bytes:
            return  # it is refused for its own size
        held = [upload.spool for upload in self._held]
        num_held = sum(spool.size for spool in held if not spool.is_closed)
        if num_held + num_bytes > MAX_SHARES * self._max_bytes:
            raise Unavailable(
                f"recordings that are being sent or wait to be decoded have {num_held} bytes, at "
                f"most {MAX_SHARES * self._max_bytes} are kept; try again later"
            )

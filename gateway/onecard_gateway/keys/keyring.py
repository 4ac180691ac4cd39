"""The keys that a gateway knows, as its file has them now."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from onecard_gateway.keys import file
from onecard_gateway.keys.key import Key, KeysError, digest

LOG = logging.getLogger("onecard_gateway")


class Keyring:
    """The keys of a file, which is read again when it changes.

    Once there was a key, callers need one as long as the gateway runs, whatever becomes of the
    file. A file that is gone has no keys; one that cannot be read leaves those that it had.

    Args:
        path: the file; None for a gateway that asks nobody.

    Raises:
        KeysError: see `file.read`.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._version = _version(path)
        self._keys = () if path is None else file.read(path)
        self._is_needed = bool(self._keys)

    def is_needed(self) -> bool:
        """Whether callers need a key."""
        self._refresh()
        return self._is_needed

    def find(self, texts: Iterable[str]) -> Key | None:
        """The key that one of these texts is.

        Every hash is compared with every other one, each in constant time.
        """
        found = None
        for text in texts:
            hashed = digest(text)
            for key in self._keys:
                if hmac.compare_digest(hashed, key.sha256) and found is None:
                    found = key
        return found

    def _refresh(self) -> None:
        version = _version(self._path)
        if self._path is None or version == self._version:
            return
        self._version = version
        try:
            self._keys = file.read(self._path)
        except KeysError as error:
            LOG.error("the keys are those from before: %s", error)
            self._is_needed = True
            return
        self._is_needed = self._is_needed or bool(self._keys)
        LOG.info("the keys were read again: %d", len(self._keys))


def _version(path: Path | None) -> tuple[int, int, int] | None:
    """What changes whenever a file does; None where there is none."""
    try:
        found = os.stat(path) if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_ino, found.st_size)

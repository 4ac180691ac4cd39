"""The file of keys: read whole, and replaced whole, so that nobody reads half of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from onecard_gateway.keys.key import Key, KeysError, from_document

MODE = 0o600
_FOLDER_MODE = 0o700
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def default_path(environment: Mapping[str, str]) -> Path:
    """Where the keys of this user's gateways are."""
    home = environment.get("HOME") or os.path.expanduser("~")  # stays `~` where there is none
    return Path(environment.get("XDG_CONFIG_HOME") or f"{home}/.config", "onecard", "keys.json")


def read(path: Path) -> tuple[Key, ...]:
    """The keys in a file; none where there is no file.

    Raises KeysError for a file that cannot be read, that is none of keys, or that others may write.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysError(f"the keys in `{path}` cannot be read ({error}); correct that") from error
    if mode & _WRITABLE_BY_OTHERS:
        raise KeysError(
            f"the keys in `{path}` may be written by others than their owner (mode "
            f"{stat.S_IMODE(mode):o}); chmod 600 it"
        )
    try:
        return _parsed(text)
    except ValueError as error:
        raise KeysError(f"`{path}`: {error}") from error


def _parsed(text: str) -> tuple[Key, ...]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeysError(f"this is not JSON ({error}); correct it") from error
    if not isinstance(found, dict) or list(found) != ["keys"]:
        raise KeysError('this is no file of keys, which is `{"keys": [...]}`; correct it')
    if not isinstance(found["keys"], list):
        raise KeysError("`keys` is no list; correct it")
    keys = tuple(map(from_document, found["keys"]))
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise KeysError(f"there are several keys `{name}`; remove all but one")
    return keys


def add(path: Path, key: Key) -> None:
    """Adds a key. Raises KeysError where there is one of that name, and as `read`."""
    with _locked(path):
        keys = read(path)
        if key.name in (one.name for one in keys):
            raise KeysError(
                f"there is a key `{key.name}` already; remove it first, or choose another name"
            )
        _replace(path, (*keys, key))


def remove(path: Path, name: str) -> int:
    """Removes a key, and says how many are left.

    Raises KeysError where there is none of that name, and as `read`.
    """
    with _locked(path):
        keys = read(path)
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none at all"
            raise KeysError(f"there is no key `{name[:80]}`, only {known}; `keys list` shows them")
        _replace(path, left)
    return len(left)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One change at a time: of two at once, one would be lost."""
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise KeysError(f"the folder of `{path}` cannot be had ({error}); correct that") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, keys: tuple[Key, ...]) -> None:
    text = json.dumps({"keys": [key.document() for key in keys]}, indent=2) + "\n"
    target = path.resolve()  # of a link, what it points at
    try:
        number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(number, "w", encoding="utf-8") as file:
                os.fchmod(number, MODE)
                file.write(text)
                file.flush()
                os.fsync(number)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise KeysError(f"the keys in `{path}` cannot be written ({error})") from error

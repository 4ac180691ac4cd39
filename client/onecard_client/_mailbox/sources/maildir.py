"""A Maildir: which files are emails, and which of them are deleted."""

from __future__ import annotations

import re
from pathlib import Path

MAIL_FOLDERS = ("new", "cur")

# Flags follow `:2,`, or what file systems without colons have in its place
# (https://cr.yp.to/proto/maildir.html).
_FLAGS = re.compile(r"[:;!][12],([^/]*)$")
_TRASHED = "T"


def is_maildir(path: Path) -> bool:
    """Whether a folder has `new` or `cur`."""
    return any((path / folder).is_dir() for folder in MAIL_FOLDERS)


def maildir_files(path: Path) -> list[Path]:
    """The mails of a Maildir, by name, without those in the bin; a name with a dot first is none.

    Raises:
        OSError: `new` or `cur` cannot be listed.
    """
    return [file for file in maildir_names(path) if file.is_file() and not is_trashed(file.name)]


def maildir_names(path: Path) -> list[Path]:
    """Whatever lies where mails lie, links that lead nowhere too. Raises: OSError."""
    return [file for folder in MAIL_FOLDERS for file in listed(path / folder)]


def listed(folder: Path) -> list[Path]:
    """The files in `new` or `cur`, by name; none if there is no such folder. Raises: OSError."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if not file.name.startswith("."))


def has_flags(name: str) -> bool:
    """Whether a name is that of an email of a Maildir's `cur`, wherever it is."""
    return _FLAGS.search(name) is not None


def is_trashed(name: str) -> bool:
    """The T flag: deleted, and not yet expunged."""
    found = _FLAGS.search(name)
    return found is not None and _TRASHED in found.group(1)


def maildir_key(name: str) -> str:
    """A mail's name for life, whatever flags it gets."""
    return _FLAGS.sub("", name)


def lasting(file: Path) -> Path:
    """A path that names a mail for life: without `new` or `cur`, and without flags."""
    folder = file.parent.parent if file.parent.name in MAIL_FOLDERS else file.parent
    return folder / maildir_key(file.name)


def moved(file: Path) -> Path | None:
    """The path of an email that a program has renamed since its folder was listed."""
    key = maildir_key(file.name)
    for other in maildir_names(file.parent.parent):
        if maildir_key(other.name) == key and other != file and other.is_file():
            return other
    return None

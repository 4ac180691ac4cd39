"""What was fetched of each repository of a hub: the commit, and the sha256 of each file.

A commit of a hub's says which files there are, but not who made them; a branch says not even that.
So the first fetch is trusted, and every later one, on this machine or with a copy of this file on
another, has to bring the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from build_scripts.errors import DownloadError
from build_scripts.fetch import file

FILENAME = "downloads.lock"
CHECKPOINTS = ".checkpoints"  # may be removed to make room; the lock stays beside it


@dataclass(frozen=True)
class Entry:
    """What was fetched of one revision of a repository."""

    repository: str
    revision: str
    commit: str  # what `revision` was when it was fetched first
    sha256: dict[str, str] = field(default_factory=dict)  # of files by name


def beside(folder: Path) -> Path:
    """Where the lock of a fetched repository's directory lies."""
    home = folder.resolve().parent
    return (home.parent if home.name == CHECKPOINTS else home) / FILENAME


def read(path: Path, repository: str, revision: str) -> Entry | None:
    """What was fetched first; None where nothing was. Raises DownloadError for a file that is no
    lock."""
    for entry in _entries(path):
        if (entry.repository, entry.revision) == (repository, revision):
            return entry
    return None


def verify(lock: Path, entry: Entry | None, name: str, path: Path, sha256: str) -> None:
    """Raises DownloadError where `name`, the file at `path`, was another when it was fetched first;
    it is removed."""
    if entry is None or name not in entry.sha256:
        return
    cure = (
        f"If the new one is to be trusted, remove the entry of `{entry.repository}` from that file "
        "and run it again"
    )
    whence = f", which it had when it was fetched first (`{lock}`)"
    what = f"`{name}` of `{entry.repository}`"
    file.verify(path, sha256, entry.sha256[name], what, cure, whence)


def write(path: Path, entry: Entry) -> None:
    """Add what was fetched to the lock; what it says of other files stays. Raises DownloadError."""
    others = []
    for known in _entries(path):
        if (known.repository, known.revision) == (entry.repository, entry.revision):
            entry = Entry(**{**asdict(entry), "sha256": {**entry.sha256, **known.sha256}})
        else:
            others.append(known)
    entries = sorted([*others, entry], key=lambda entry: (entry.repository, entry.revision))
    aside = path.with_name(f"{path.name}.new")
    text = json.dumps([asdict(known) for known in entries], indent=2, sort_keys=True)
    aside.write_text(text + "\n", encoding="utf-8")
    aside.replace(path)


def _entries(path: Path) -> list[Entry]:
    try:
        return [Entry(**table) for table in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise DownloadError(
            f"`{path}` cannot be read ({error}), wanted the commits and hashes of earlier "
            "downloads: bring it back, or remove it to trust what the hub sends now"
        ) from None

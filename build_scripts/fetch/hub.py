"""Fetches chosen files of one commit of a Hugging Face repository, and verifies each.

A file has to have the hash that the hub states, the one that this project states where it does, and
the one that it had when it was fetched first (`hub_lock`).
`python -m build_scripts.fetch.hub OWNER/NAME --revision REVISION --into FOLDER --file PATTERN`
HF_ENDPOINT, HF_TOKEN and HF_HOME are the client's own.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_scripts import errors
from build_scripts.errors import DownloadError
from build_scripts.fetch import file, hub_lock
from build_scripts.fetch.file import Free, free_bytes, git_sha1, verify_room
from onecard import manifest

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RECORD = "revision.json"  # beside the files
UNSTATED = "not stated"
HUB = "https://huggingface.co"
REFUSED = (401, 403)  # no token, one that is unknown, or one whose owner did not accept the terms


@dataclass(frozen=True)
class Wanted:
    """The files of a repository that are wanted."""

    repository: str
    revision: str
    files: Sequence[str]  # names or patterns, each of which must match
    optional: Sequence[str] = ()  # names or patterns that may match
    first_of: Sequence[str] = ()  # names, of which the first that exists is wanted
    sha256: Mapping[str, str] = field(default_factory=dict)  # by name, where it is known


@dataclass(frozen=True)
class Fetched:
    """The record of a directory's files."""

    repository: str
    asked: str  # the revision that was asked for
    commit: str
    licence: str  # as the repository's own page states it
    files: dict[str, int]  # name -> bytes


def main(arguments: Sequence[str]) -> None:
    """Fetch the files that are not there. Raises DownloadError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.fetch.hub")
    parser.add_argument("repository")
    parser.add_argument("--revision", required=True)
    parser.add_argument("--into", required=True, type=Path)
    parser.add_argument("--file", action="append", required=True, help="a name or a pattern")
    parser.add_argument("--optional", action="append", default=[], help="one that need not match")
    parser.add_argument("--first-of", action="append", default=[], help="the first that there is")
    parser.add_argument("--sha256", action="append", default=[], help="NAME=HEX, of a file")
    parser.add_argument("--room", type=int, default=1, help="how many times its size must be free")
    given = parser.parse_args(arguments)
    stated = dict(pair.split("=", 1) for pair in given.sha256)
    wanted = Wanted(
        given.repository, given.revision, given.file, given.optional, given.first_of, stated
    )
    fetch(wanted, given.into, room=given.room)


def read(folder: Path) -> Fetched | None:
    """The record of what was fetched into `folder`; None where there is none."""
    try:
        return Fetched(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def fetch(
    wanted: Wanted,
    into: Path,
    *,
    room: int = 1,
    free: Free = free_bytes,
) -> Fetched:
    """Bring the wanted files into `into`.

    A revision that is not a commit is resolved once; the commit holds as long as the lock beside
    the checkpoints has it.

    Raises:
        DownloadError: no answer, terms that were not accepted, no such file, a full disk, or
            another content than the hub's, this project's or the first fetch's.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    known = read(into)
    if known and (known.repository, known.asked) != (wanted.repository, wanted.revision):
        shutil.rmtree(into)
        known = None
    lock = hub_lock.beside(into)
    first = hub_lock.read(lock, wanted.repository, wanted.revision)
    into.mkdir(parents=True, exist_ok=True)
    api = HfApi()
    try:
        revision = first.commit if first else known.commit if known else wanted.revision
        info = api.model_info(wanted.repository, revision=revision, files_metadata=True)
        chosen = _choose(wanted, info)
        _verify_room(into, wanted, chosen, room, free)
        found = _bring(api, wanted, str(info.sha), chosen, into)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        raise DownloadError(_explain(wanted, error)) from None
    for stated in chosen:
        name = stated.rfilename
        _verify(into / name, found[name], stated, wanted)
        hub_lock.verify(lock, first, name, into / name, found[name])
    entry = hub_lock.Entry(wanted.repository, wanted.revision, str(info.sha), found)
    hub_lock.write(lock, entry)
    files = {
        **(known.files if known else {}),
        **{stated.rfilename: stated.size for stated in chosen},
    }
    return _record(wanted, info, files, into)


def _verify_room(into: Path, wanted: Wanted, chosen: Sequence[Any], room: int, free: Free) -> None:
    missing = sum(stated.size or 0 for stated in chosen if not _is_there(into, stated))
    total = sum(stated.size or 0 for stated in chosen)
    what = f"`{wanted.repository}` and what is made of it"
    verify_room(into, missing + (room - 1) * total, free, what)


def _record(wanted: Wanted, info: Any, files: dict[str, int], into: Path) -> Fetched:
    licence = str((info.card_data or {}).get("license") or UNSTATED)
    fetched = Fetched(wanted.repository, wanted.revision, info.sha, licence, files)
    aside = into / f"{RECORD}.new"
    aside.write_text(json.dumps(asdict(fetched), indent=2) + "\n", encoding="utf-8")
    aside.replace(into / RECORD)
    return fetched


def _choose(wanted: Wanted, info: Any) -> list[Any]:
    names = [stated.rfilename for stated in info.siblings]
    for pattern in wanted.files:
        if not any(fnmatch(name, pattern) for name in names):
            raise DownloadError(
                f"`{wanted.repository}` at {info.sha[:12]} has no `{pattern}`, which is needed (it "
                f"has {', '.join(sorted(names)[:12])}): name a repository or revision that has it"
            )
    first = [name for name in wanted.first_of if name in names][:1]
    if wanted.first_of and not first:
        raise DownloadError(
            f"`{wanted.repository}` at {info.sha[:12]} has none of {', '.join(wanted.first_of)} "
            f"(it has {', '.join(sorted(names)[:12])}): name a repository or revision that has one"
        )
    patterns = [*wanted.files, *wanted.optional, *first]
    return [
        stated
        for stated in info.siblings
        if any(fnmatch(stated.rfilename, pattern) for pattern in patterns)
    ]


def _is_there(into: Path, stated: Any) -> bool:
    path = into / stated.rfilename
    return path.is_file() and (stated.size is None or path.stat().st_size == stated.size)


def _bring(
    api: HfApi, wanted: Wanted, commit: str, chosen: Sequence[Any], into: Path
) -> dict[str, str]:
    """The sha256 by name of the chosen files, which are there afterwards; what arrives is not
    looked at yet."""
    there = {}
    for stated in chosen:
        path = into / stated.rfilename
        sha256 = manifest.sha256(path) if _is_there(into, stated) else ""
        if sha256 and _is_stated(path, sha256, stated):
            there[stated.rfilename] = sha256
        else:
            path.unlink(missing_ok=True)
    missing = [stated.rfilename for stated in chosen if stated.rfilename not in there]
    if missing:
        patterns = [glob.escape(name) for name in missing]
        api.snapshot_download(
            wanted.repository, revision=commit, local_dir=into, allow_patterns=patterns
        )
    lost = [name for name in missing if not (into / name).is_file()]
    if lost:  # the client only warns where the hub stops answering and the directory is not empty
        raise ConnectionError(f"the hub stopped answering before `{lost[0]}`")
    return {**there, **{name: manifest.sha256(into / name) for name in missing}}


def _verify(path: Path, sha256: str, stated: Any, wanted: Wanted) -> None:
    """Raises DownloadError, and removes the file, where it has another hash than the hub or this
    project states."""
    name, repository = stated.rfilename, wanted.repository
    if not _is_stated(path, sha256, stated):
        path.unlink()
        raise DownloadError(
            f"`{name}` of `{repository}` is not the file that the hub describes "
            "(another hash); it was removed. Run it again"
        )
    cure = (
        f"What answers is not the hub, or not its `{wanted.revision}`: look at HF_ENDPOINT and the "
        "network"
    )
    right = wanted.sha256.get(name, sha256)
    whence = " (build_scripts/engines/checkpoints/sources.py)"
    file.verify(path, sha256, right, f"`{name}` of `{repository}`", cure, whence)


def _is_stated(path: Path, sha256: str, stated: Any) -> bool:
    """Whether the file at `path` is the one that the hub describes."""
    if stated.lfs is not None:
        return bool(stated.lfs.sha256 == sha256)
    return bool(stated.blob_id is None or git_sha1(path) == stated.blob_id)


def _explain(wanted: Wanted, error: Exception) -> str:
    kind = type(error).__name__
    endpoint = os.environ.get("HF_ENDPOINT", HUB)
    status = _status(error)
    if kind == "GatedRepoError" or (kind != "RepositoryNotFoundError" and status in REFUSED):
        return _gated(wanted.repository, endpoint, status)
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"):
        return (
            f"Hugging Face has no `{wanted.repository}` at `{wanted.revision}` that this machine "
            f"may read ({kind}): look at the plan's checkpoint and revision, or set HF_TOKEN"
        )
    if "No space left" in str(error):
        return f"the disk filled up while fetching `{wanted.repository}`: make room, run it again"
    said = (str(error).strip().splitlines() or [kind])[0]
    return (
        f"`{wanted.repository}` could not be fetched from {endpoint} ({kind}: {said}); what "
        "arrived is kept and the next run goes on from there: look at the network, run it again"
    )


def _status(error: BaseException | None) -> int:
    """The status of the hub's answer, which the client may have wrapped in its own error."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__
    return 0


def _gated(repository: str, endpoint: str, status: int) -> str:
    """The message that says how to get access. The token itself is in no message."""
    from huggingface_hub import get_token

    which = "the token that is set is not enough" if get_token() else "no token is set"
    return (
        f"`{repository}` is gated ({status}; {which}): accept its terms at "
        f"{endpoint}/{repository}, make a token at {endpoint}/settings/tokens (of the type read; a "
        "fine-grained one needs access to public gated repositories), set HF_TOKEN to it (with "
        "Compose in docker/.env) and run it again"
    )


if __name__ == "__main__":
    errors.run(main)

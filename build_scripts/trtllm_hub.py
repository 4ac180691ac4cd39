"""Fetches chosen files of one commit of a Hugging Face repository, and verifies each.

It knows the hub's client and what its failures mean, and nothing of what the files hold.
`python -m build_scripts.trtllm_hub OWNER/NAME --revision REVISION --into FOLDER --file PATTERN`
HF_ENDPOINT, HF_TOKEN and HF_HOME are the client's own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_scripts import errors
from build_scripts.errors import DownloadError
from build_scripts.trtllm_download import Free, sha1_of_blob, verify_room
from onecard import manifest

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RECORD = "revision.json"  # beside the files
UNSTATED = "not stated"


@dataclass(frozen=True)
class Wanted:
    """Each of `files` (names or patterns) must match, those of `optional` may, and of the names in
    `first_of` the first that there is is wanted."""

    repository: str
    revision: str
    files: Sequence[str]
    optional: Sequence[str] = ()
    first_of: Sequence[str] = ()


@dataclass(frozen=True)
class Fetched:
    """What lies in a directory. `asked`: the revision that was asked for; `licence`: as the
    repository's card states it; `files`: name -> bytes."""

    repository: str
    asked: str
    commit: str
    licence: str
    files: dict[str, int]


def main(arguments: Sequence[str]) -> None:
    """Fetch the files that are not there. Raises DownloadError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.trtllm_hub")
    parser.add_argument("repository")
    parser.add_argument("--revision", required=True)
    parser.add_argument("--into", required=True, type=Path)
    parser.add_argument("--file", action="append", required=True, help="a name or a pattern")
    parser.add_argument("--optional", action="append", default=[], help="one that need not match")
    parser.add_argument("--first-of", action="append", default=[], help="the first that there is")
    parser.add_argument("--room", type=int, default=1, help="how many times its size must be free")
    given = parser.parse_args(arguments)
    wanted = Wanted(given.repository, given.revision, given.file, given.optional, given.first_of)
    fetch(wanted, given.into, room=given.room)


def read(folder: Path) -> Fetched | None:
    """What was fetched into `folder`; None where nothing was, or nobody knows what."""
    try:
        return Fetched(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def fetch(
    wanted: Wanted,
    into: Path,
    *,
    room: int = 1,
    free: Free = lambda folder: shutil.disk_usage(folder).free,
) -> Fetched:
    """Bring the wanted files into `into`.

    A revision that is not a commit is resolved once; the commit holds until the directory goes.

    Raises:
        DownloadError: no answer, no such file, a full disk, or another content than the hub's.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    known = read(into)
    if known and (known.repository, known.asked) != (wanted.repository, wanted.revision):
        shutil.rmtree(into)
        known = None
    into.mkdir(parents=True, exist_ok=True)
    api = HfApi()
    try:
        revision = known.commit if known else wanted.revision
        info = api.model_info(wanted.repository, revision=revision, files_metadata=True)
        chosen = _choose(wanted, info)
        missing = sum(one.size or 0 for one in chosen if not _is_there(into, one))
        total = sum(one.size or 0 for one in chosen)
        what = f"`{wanted.repository}` and what is made of it"
        verify_room(into, missing + (room - 1) * total, free, what)
        for one in chosen:
            _bring(api, wanted.repository, str(info.sha), one, into)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        raise DownloadError(_explain(wanted, error)) from None
    files = {**(known.files if known else {}), **{one.rfilename: one.size for one in chosen}}
    return _record(wanted, info, files, into)


def _record(wanted: Wanted, info: Any, files: dict[str, int], into: Path) -> Fetched:
    licence = str((info.card_data or {}).get("license") or UNSTATED)
    fetched = Fetched(wanted.repository, wanted.revision, info.sha, licence, files)
    aside = into / f"{RECORD}.new"
    aside.write_text(json.dumps(asdict(fetched), indent=2) + "\n", encoding="utf-8")
    aside.replace(into / RECORD)
    return fetched


def _choose(wanted: Wanted, info: Any) -> list[Any]:
    names = [one.rfilename for one in info.siblings]
    for pattern in wanted.files:
        if not any(fnmatch(name, pattern) for name in names):
            raise DownloadError(
                f"`{wanted.repository}` at {info.sha[:12]} has no `{pattern}`, which is needed (it "
                f"has {', '.join(sorted(names)[:12])}): name a repository or revision that has it"
            )
    found = [one for one in wanted.first_of if one in names][:1]
    if wanted.first_of and not found:
        raise DownloadError(
            f"`{wanted.repository}` at {info.sha[:12]} has none of {', '.join(wanted.first_of)} "
            f"(it has {', '.join(sorted(names)[:12])}): name a repository or revision that has one"
        )
    patterns = [*wanted.files, *wanted.optional, *found]
    return [one for one in info.siblings if any(fnmatch(one.rfilename, p) for p in patterns)]


def _is_there(into: Path, wanted: Any) -> bool:
    path = into / wanted.rfilename
    return path.is_file() and (wanted.size is None or path.stat().st_size == wanted.size)


def _bring(api: HfApi, repository: str, commit: str, wanted: Any, into: Path) -> None:
    path = into / wanted.rfilename
    if not _is_there(into, wanted) or not _is_right(path, wanted):
        path.unlink(missing_ok=True)
        api.hf_hub_download(repository, wanted.rfilename, revision=commit, local_dir=into)
        if not _is_right(path, wanted):
            path.unlink()
            raise DownloadError(
                f"`{wanted.rfilename}` of `{repository}` is not the file that the hub describes "
                "(another hash); it was removed. Run it again"
            )


def _is_right(path: Path, wanted: Any) -> bool:
    if wanted.lfs is not None:
        return bool(manifest.sha256(path) == wanted.lfs.sha256)
    return bool(wanted.blob_id is None or sha1_of_blob(path) == wanted.blob_id)


def _explain(wanted: Wanted, error: Exception) -> str:
    kind = type(error).__name__
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if kind == "GatedRepoError":
        page = f"{endpoint}/{wanted.repository}"
        return f"`{wanted.repository}` is gated: accept its terms at {page}, then set HF_TOKEN"
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


if __name__ == "__main__":
    errors.run(main)

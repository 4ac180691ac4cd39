"""Fetches one large file over HTTP: taken up where it broke off, and verified before it counts.

`python -m build_scripts.fetch.download URL --sha256 HEX --into PATH`
"""

from __future__ import annotations

import argparse
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build_scripts import errors
from build_scripts.errors import DownloadError
from build_scripts.fetch.file import BLOCK_BYTES, Free, free_bytes, verify, verify_room
from onecard import manifest

ATTEMPTS = 5
TIMEOUT_S = 60.0
PAUSE_S = 2.0
REDRAW_S = 0.2
LINE_S = 30.0  # into a pipe or a log


def main(arguments: Sequence[str]) -> None:
    """Fetch the file unless it is there. Raises DownloadError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.fetch.download")
    parser.add_argument("url")
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--into", required=True, type=Path)
    parser.add_argument("--room", type=int, default=1, help="how many times its size must be free")
    given = parser.parse_args(arguments)
    fetch(given.url, given.sha256, given.into, room=given.room)


def fetch(
    url: str,
    sha256: str,
    target: Path,
    *,
    room: int = 1,
    free: Free = free_bytes,
    pause_s: float = PAUSE_S,
) -> bool:
    """Bring `url` to `target`; False when it is there already.

    What has arrived stays as `<target>.part` until it is complete and has the hash.

    Raises:
        DownloadError: no answer, a full disk, or another content than `sha256`.
    """
    if target.is_file() and manifest.sha256(target) == sha256:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _take(url, part, room, free)
            break
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise DownloadError(
                    f"`{url}` broke off {ATTEMPTS} times ({error}); what arrived is kept and the "
                    "next run goes on from there: look at the network, then run it again"
                ) from None
            time.sleep(pause_s)
    cure = "Run it again; if it happens twice, something between here and the server changes it"
    verify(part, manifest.sha256(part), sha256, f"`{url}`", cure)
    part.replace(target)
    return True


def _take(url: str, part: Path, room: int, free: Free) -> None:
    """Append to `part` what it lacks of `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there; the hash decides
        if error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise ConnectionError(f"{error.code} {error.reason}") from None
        raise DownloadError(f"`{url}` answers {error.code} ({error.reason})") from None
    with answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            have = 0  # a server that knows no ranges sends everything
        rest = int(answer.headers.get("Content-Length") or 0)
        wanted = rest + (room - 1) * (have + rest)
        verify_room(part.parent, wanted, free, f"`{part.stem}` and what is made of it")
        with part.open("ab" if have else "wb") as file:
            _copy(answer, file, _bar(part.stem, have, have + rest))
    if rest and part.stat().st_size < have + rest:
        raise ConnectionError(f"ended after {part.stat().st_size} of {have + rest} bytes")


def _copy(answer: Any, file: Any, bar: Any) -> None:
    with bar:
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
            bar.update(len(block))


def _bar(name: str, have: int, total: int) -> Any:
    """The progress bar of Hugging Face's client, whose downloads look the same."""
    from huggingface_hub.utils.tqdm import tqdm

    make: Any = tqdm  # it has no types
    every_s = REDRAW_S if sys.stderr.isatty() else LINE_S
    options = {"unit": "B", "unit_scale": True, "mininterval": every_s, "maxinterval": LINE_S}
    return make(desc=name, initial=have, total=total or None, **options)


if __name__ == "__main__":
    errors.run(main)

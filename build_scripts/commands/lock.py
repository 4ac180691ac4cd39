"""Resolves every lock file anew; runs where the package index can be reached: `make lock`.

With INDEX it resolves one alone: torch as PyTorch's own index builds it for a CUDA or the CPU, for
the image that takes it from there (`docker/torch-<build>.lock`). A lock has the sha256 of each
file, and pip installs nothing else from it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build_scripts import errors, paths
from build_scripts.bootstrap import venv
from build_scripts.console import say
from build_scripts.errors import DownloadError, InstallError

TOOLS = ("editables", "hatchling>=1.27", "uv")  # what builds onecard, and what resolves locks
PIP = "pip==25.3"  # of the image, whose Python has none of its own
OF_CUDA = ("cuda-", "nvidia-", "triton")  # what torch needs beside these on a card
# PyTorch's index has builds for the CPU alone, which PyPI has not. Hashes as it states them, of
# Python 3.11 and 3.12 on x86_64, and of 3.10 to 3.12 on aarch64.
CPU_BUILDS = (
    "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
    "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
    "f028e428bddee95cdb86e2470254e95c9af629362488550c200ed4793125a817",
    "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",
    "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",
)
PLATFORM, PYTHON = "manylinux_2_28_x86_64", "3.12"  # of NVIDIA's image
HEADER = "# Written by `make lock`; every file has its sha256, and pip takes no other.\n"


def main(arguments: Sequence[str]) -> None:
    """Write the locks. Raises DownloadError or InstallError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.commands.lock")
    parser.add_argument("--index", default="", help="torch alone, from this index, for the image")
    parser.add_argument("--into", type=Path, help="default docker/torch-<build>.lock")
    given = parser.parse_args(arguments)
    torch = venv.pinned_torch(paths.PROJECT.read_text(encoding="utf-8"))
    if given.index:
        build = given.index.rstrip("/").rpartition("/")[2]
        target = given.into or paths.ROOT / "docker" / f"torch-{build}.lock"
        target.write_text(HEADER + of_index(f"{torch}+{build}", given.index), encoding="utf-8")
        say(f"wrote {target}; `docker compose build` takes it from now on")
        return
    _project()
    _write("requirements-tools.lock", resolved("\n".join(TOOLS)))
    _write("docker/pip.lock", resolved(PIP))
    common, cuda = split(resolved(torch))
    _write("requirements-torch.lock", common)
    _write("requirements-torch-cpu.lock", entry(f"{torch}+cpu", CPU_BUILDS) + "\n")
    _write("requirements-cuda.lock", cuda)


def _project() -> None:
    target = str(paths.LOCK.relative_to(paths.ROOT))
    extras = [part for name in ("server", "gateway", "mail", "dev") for part in ("--extra", name)]
    _uv([str(paths.PROJECT), *extras, "--output-file", target], "")
    say(f"wrote {target}")


def resolved(requirements: str) -> str:
    """A lock of `requirements` for every Python that fits, in the order of names."""
    return _uv(["-", "--no-annotate", "--no-header", "--no-sources"], requirements)


def _uv(arguments: Sequence[str], requirements: str) -> str:
    if requirements:  # what several locks have is the same version in each
        arguments = [*arguments, "--constraints", str(paths.LOCK)]
    command = [
        str(paths.VENV / "bin" / "uv"), "pip", "compile", *arguments, "--universal", "--quiet",
        "--python-version", "3.10", "--generate-hashes", "--custom-compile-command", "make lock",
    ]  # fmt: skip
    # Not in the project: there uv would read what it overrides, which leaves torch out.
    work = paths.ROOT if not requirements else Path("/")
    try:
        ran = subprocess.run(
            command, input=requirements, cwd=work, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise InstallError(
            f"`{command[0]}` cannot be run ({error.strerror}): `.venv/bin/pip install "
            "--require-hashes -r requirements-tools.lock` brings it"
        ) from None
    if ran.returncode != 0:
        raise DownloadError(f"uv could not resolve `{requirements or arguments[0]}`:\n{ran.stderr}")
    return ran.stdout


def split(lock: str) -> tuple[str, str]:
    """What every torch needs, and what one for a card needs beside it."""
    entries = _entries(lock)
    cuda = [entry for entry in entries if entry.startswith(OF_CUDA)]
    common = [entry for entry in entries if entry not in cuda]
    return "\n".join(common) + "\n", "\n".join(cuda) + "\n"


def entry(requirement: str, sha256: Sequence[str]) -> str:
    """Of one package, with the files that it may be."""
    return " \\\n".join([requirement, *(f"    --hash=sha256:{one}" for one in sha256)])


def _entries(lock: str) -> list[str]:
    """Each package with its hashes."""
    return re.split(r"\n(?=\S)", lock.strip())


def of_index(torch: str, index: str) -> str:
    """A lock of torch and what it needs, as pip for the image resolves it from `index` and its own.

    Raises DownloadError.
    """
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
        "--report", "-", "--only-binary", ":all:", "--platform", PLATFORM, "--python-version",
        PYTHON, "--target", "unused", "--extra-index-url", index, torch,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = "\n  ".join(ran.stderr.strip().splitlines()[-4:])
        raise DownloadError(f"`{torch}` could not be resolved from `{index}`:\n  {said}")
    found = [_entry(one) for one in json.loads(ran.stdout)["install"]]
    return "\n".join(sorted(found)) + "\n"


def _entry(package: dict[str, Any]) -> str:
    name, version = (str(package["metadata"][key]) for key in ("name", "version"))
    name = re.sub(r"[-_.]+", "-", name).lower()
    sha256 = package["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "")
    if not sha256:
        raise DownloadError(f"the index states no sha256 of `{name}` {version}, wanted one")
    return entry(f"{name}=={version}", [sha256])


def _write(name: str, text: str) -> None:
    (paths.ROOT / name).write_text(HEADER + text, encoding="utf-8")
    say(f"wrote {name}")


if __name__ == "__main__":
    errors.run(main)

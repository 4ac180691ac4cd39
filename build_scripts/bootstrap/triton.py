"""Assembles Triton's binaries under .triton/server from the wheel that carries them.

Only binaries are taken: none of the wheel's Python is installed or imported.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import InstallError
from build_scripts.fetch import directory, pip
from build_scripts.fetch.directory import Recipe
from build_scripts.fetch.pip import Package

WHEEL = Package(
    "nvidia-pytriton",
    "0.7.0",
    (
        "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df",  # x86-64
        "f99e07ee56fe065337453956afba17d2673e02ec6a632c3de26ce6e7b32a0898",  # aarch64
    ),
)
_STUB = "triton_python_backend_stub"
# Where the wheel's folders go, relative to .triton/server.
_FOLDERS = {
    "pytriton/tritonserver/bin/": "bin/",
    "pytriton/tritonserver/backends/python/": "backends/python/",
    "pytriton/tritonserver/caches/": "caches/",
    "nvidia_pytriton.libs/": "lib/",
    "nvidia_pytriton-0.7.0.dist-info/licenses/": "licenses/",
}


def recipe(python: tuple[int, int]) -> Recipe:
    """What the assembled directory states; the stub's Python version is part of it."""
    return Recipe(
        name="tritonserver",
        model=str(WHEEL),
        backend="python",
        precision=f"stub for Python {python[0]}.{python[1]}",
        licence="BSD-3-Clause (server), Apache-2.0 (wheel)",
    )


def assemble(python: tuple[int, int] = sys.version_info[:2]) -> bool:
    """Make .triton/server for an interpreter of version `python`; False if it was there.

    Raises DownloadError, or InstallError where the wheel has no stub for this interpreter.
    """

    def fill(staging: Path) -> None:
        with pip.fetched(WHEEL) as wheel:
            unpack(wheel, staging, python)

    made = directory.build(paths.RUNTIME, recipe(python), fill)
    link_backends()
    return made


def unpack(wheel: Path, into: Path, python: tuple[int, int]) -> None:
    """Write the wheel's binaries below `into`, with the stub for `python` beside its backend."""
    stub = f"pytriton/tritonserver/python_backend_stubs/{python[0]}.{python[1]}/{_STUB}"
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    if stub not in names:
        raise InstallError(
            f"`{WHEEL}` has no stub for Python {python[0]}.{python[1]}: "
            "run `make setup PYTHON=python3.11`"
        )
    members = {stub: into / "backends" / "python" / _STUB}
    for name in names:
        for folder, target in _FOLDERS.items():
            if name.startswith(folder):
                members[name] = into / target / name[len(folder) :]
    pip.extract(wheel, members)
    for program in (into / "bin" / "tritonserver", into / "backends" / "python" / _STUB):
        program.chmod(0o755)


def link_backends() -> None:
    """Put each of the repository's own backends beside Triton's, as a relative link."""
    for source in sorted(paths.BACKENDS.glob("*/model.py")):
        link = paths.RUNTIME / "backends" / source.parent.name
        target = os.path.relpath(source.parent, link.parent)
        if link.is_symlink() and os.readlink(link) == target:
            continue
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

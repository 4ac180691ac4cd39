"""Which perf_analyzer runs on this machine, and where it comes from; fetched into .perf/.

Nothing of them is installed: the server's environment stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_scripts import paths as layout
from build_scripts.bootstrap import lock
from build_scripts.errors import DownloadError, MachineError
from build_scripts.fetch import debian, pip
from build_scripts.fetch import directory as directories
from build_scripts.fetch.directory import Recipe
from build_scripts.fetch.pip import Package
from onecard.manifest import ManifestError

NAME = "perf_analyzer"
Glibc = tuple[int, int]

_LICENCE = "BSD-3-Clause"
# Its wheels are tagged manylinux_2_38: Ubuntu 24.04, Debian 13.
CURRENT = Package(
    "perf-analyzer",
    "2.60.0",
    (
        "23ef56b107ae9233e5cf09fbdf508dd9b936a52f1bae2f63f53c8117087b3f25",  # x86-64
        "c2ece0adb7760ea1abc258222d80bf8e367fa9639401406b96da2c9b55131d29",  # aarch64
    ),
)
CURRENT_GLIBC: Glibc = (2, 38)
# Its binary wants no more than glibc 2.34, and the C++ library of Ubuntu 22.04 and Debian 12 (those
# from 2.49 on want glibc 2.38); it is linked against two more libraries.
OLDER = Package(
    "tritonclient",
    "2.46.0",
    ("10d2cda89b72599757ef5aeab160c39c6dead64a97871c6156cdf25043f2f655",),  # x86-64
)
OLDER_GLIBC: Glibc = (2, 35)
CUDART = Package(
    "nvidia-cuda-runtime-cu12",
    "12.9.79",
    ("25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3",),  # x86-64
)
LIBB64 = "libb64-0d"
_OLDER_FILES = {
    NAME: "2a878cdbb9ac73239d208025a3dc590351ea87d138e56b40270aa0214ec8d0c5",
    "libcudart.so.12": "256e6409e4f06f618e1fb53d4844a6b81cdded1013afa8ade40c22f99eb133b7",
}
# By release, because each builds its own. What another one's archive signed is taken as it comes.
_LIBB64_FILES = {
    "bookworm": {"libb64.so.0d": "9d910643a635b0b534228f1437af9787d8386cf7b955639019ce6f65422b8f37"}
}


@dataclass(frozen=True)
class Choice:
    """One perf_analyzer: the wheel, how to fill a directory from it, and what that must hold."""

    package: Package
    why: str
    fill: Callable[[Path], None]
    pinned: Mapping[str, str]

    @property
    def directory(self) -> Path:
        return layout.PERF / f"{self.package.name}-{self.package.version}"

    @property
    def path(self) -> Path:
        return self.directory / NAME

    def environment(self) -> dict[str, str]:
        """This process's, with the libraries that lie beside the binary."""
        paths = (str(self.directory), os.environ.get("LD_LIBRARY_PATH"))
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(path for path in paths if path)}


def choose(glibc: Glibc, machine: str) -> Choice:
    """The newest perf_analyzer for a C library and a machine (`x86_64`, `aarch64`).

    Raises MachineError where there is none.
    """
    has = f"glibc {glibc[0]}.{glibc[1]} on {machine}"
    if glibc >= CURRENT_GLIBC and machine in ("x86_64", "aarch64"):
        return Choice(CURRENT, f"{has}: the current package", _fill_current, {})
    if glibc >= OLDER_GLIBC and machine == "x86_64":
        why = f"{has}: the current package wants glibc {CURRENT_GLIBC[0]}.{CURRENT_GLIBC[1]}"
        return Choice(OLDER, why, _fill_older, _older_files())
    raise MachineError(
        f"this machine has {has}, wanted glibc 2.38 (Ubuntu 24.04, Debian 13), or 2.35 on x86-64: "
        "there is no perf_analyzer for it. Run `make perf` on a machine that has it, against this "
        'one\'s server (ARGS="--url HOST:PORT")'
    )


def of_this_machine() -> Choice:
    """Raises MachineError."""
    name, version = platform.libc_ver()
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if name != "glibc" or len(numbers) < 2:
        raise MachineError(f"the C library is `{name or 'not glibc'} {version}`, wanted glibc")
    return choose((numbers[0], numbers[1]), platform.machine())


def fetch(choice: Choice) -> bool:
    """Make `choice.directory`; False where it was there and verified. Raises DownloadError."""
    recipe = Recipe(NAME, str(choice.package), "none", "none", _LICENCE, pinned=choice.pinned)
    with lock.alone():  # it downloads to the same place
        try:
            return directories.build(choice.directory, recipe, choice.fill)
        except ManifestError as error:
            raise DownloadError(f"{error} (of `{choice.package}`)") from None
        finally:
            shutil.rmtree(layout.DOWNLOADS, ignore_errors=True)


def _older_files() -> dict[str, str]:
    with contextlib.suppress(OSError):
        release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
        return {**_OLDER_FILES, **_LIBB64_FILES.get(release, {})}
    return _OLDER_FILES


def _fill_current(into: Path) -> None:
    _take(CURRENT, f"perf_analyzer/bin/{NAME}", into / NAME)


def _fill_older(into: Path) -> None:
    _take(OLDER, f"tritonclient-{OLDER.version}.data/data/bin/{NAME}", into / NAME)
    library = "libcudart.so.12"
    _take(CUDART, f"nvidia/cuda_runtime/lib/{library}", into / library)
    work = into / ".work"
    work.mkdir()
    debian.unpack(LIBB64, work)
    for found in work.glob("usr/lib/*/libb64.so.0d"):
        shutil.copyfile(found, into / found.name)
    shutil.rmtree(work)


def _take(package: Package, member: str, target: Path) -> None:
    with pip.fetched(package) as wheel:
        pip.extract(wheel, {member: target})
    target.chmod(0o755)

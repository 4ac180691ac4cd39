"""What this machine must have before setup begins; each lack has one message and its cure."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from build_scripts import paths
from build_scripts.errors import MachineError

MACHINES = ("x86_64", "aarch64")
PYTHONS = ((3, 10), (3, 11), (3, 12))
MIN_GLIBC = (2, 35)  # the Triton wheel's platform tag, manylinux_2_35
# A fresh setup fills 3.1 GB with a CPU build of torch and 6.7 GB with a CUDA build; pip needs room
# to unpack besides.
MIN_FREE_BYTES = 4 * 2**30
CUDA_FREE_BYTES = 10 * 2**30


class Lack(NamedTuple):
    """What the machine has instead of what it needs; `wanted` and `cure` may be empty."""

    found: str
    wanted: str = ""
    cure: str = ""

    def sentence(self) -> str:
        """What was found, what was wanted and what to do, for an error message."""
        wanted = f", wanted {self.wanted}" if self.wanted else ""
        return f"{self.found}{wanted}{f': {self.cure}' if self.cure else ''}"


def check(version: tuple[int, int], libdir: str, fresh: bool) -> str:
    """One line about a machine that has everything.

    `version` and `libdir` (where its shared library may lie) are those of the interpreter that the
    models will run in; `fresh`: nothing is installed yet.
    Raises MachineError that names every lack at once.
    """
    lacks = [
        lack.sentence()
        for lack in (
            machine(platform.system(), platform.machine()),
            interpreter(version),
            c_library(platform.libc_ver()),
            library_of_interpreter(version, libdir),
            environment_module(sys.version_info[:2]) if fresh else None,
            disk(free_bytes()) if fresh else None,
        )
        if lack is not None
    ]
    if lacks:
        raise MachineError("this machine lacks something:\n  " + "\n  ".join(lacks))
    glibc = platform.libc_ver()[1]
    free = f"{free_bytes() / 2**30:.0f} GiB free"
    return f"Python {_dotted(version)}, glibc {glibc}, {platform.machine()}, {free}"


def machine(system: str, name: str) -> Lack | None:
    """The wheel carries binaries for two kinds of machine."""
    if system == "Linux" and name in MACHINES:
        return None
    return Lack(f"the machine is `{system} {name}`", f"Linux on {' or '.join(MACHINES)}")


def interpreter(version: tuple[int, int]) -> Lack | None:
    """A version with a stub in the Triton wheel and wheels of NumPy 1.26."""
    if version in PYTHONS:
        return None
    return Lack(
        f"Python is `{_dotted(version)}`",
        "3.10, 3.11 or 3.12",
        "`sudo apt-get install python3.11 python3.11-venv libpython3.11`, "
        "then `make setup PYTHON=python3.11`",
    )


def c_library(found: tuple[str, str]) -> Lack | None:
    """glibc at least as new as the wheel's; musl has none of its symbols."""
    name, version = found
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name == "glibc" and numbers >= MIN_GLIBC:
        return None
    return Lack(
        f"the C library is `{name or 'not glibc'} {version}`",
        f"glibc {_dotted(MIN_GLIBC)} or newer",
        "Debian 12, Ubuntu 22.04 or a later release of either",
    )


def library_of_interpreter(version: tuple[int, int], libdir: str) -> Lack | None:
    """Triton's stub is linked against the interpreter as a shared library."""
    name = f"libpython{_dotted(version)}.so.1.0"
    for candidate in (name, str(Path(libdir) / name)):
        try:
            ctypes.CDLL(candidate)
        except OSError:
            continue
        return None
    return Lack(
        f"`{name}` is not found by the loader",
        cure=f"`sudo apt-get install libpython{_dotted(version)}`",
    )


def environment_module(version: tuple[int, int]) -> Lack | None:
    """Debian ships `venv` and `ensurepip` in a package of their own."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return None
    return Lack(
        "`python -m venv` does not work",
        cure=f"`sudo apt-get install python{_dotted(version)}-venv`",
    )


def disk(num_bytes: int) -> Lack | None:
    """Room for the environment, the runtime and the models."""
    if num_bytes >= MIN_FREE_BYTES:
        return None
    return Lack(
        f"`{paths.ROOT}` has {num_bytes / 2**30:.1f} GiB free",
        f"{MIN_FREE_BYTES / 2**30:.0f}",
        "free some space",
    )


def free_bytes() -> int:
    """Room on the file system of the checkout."""
    return shutil.disk_usage(os.fspath(paths.ROOT)).free


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"

"""Makes a virtual environment hold exactly what a lock file pins, and torch: .venv, or another.

Every file that is fetched has a sha256 in a lock, torch and what builds onecard included; judged by
content, not by stamps.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from build_scripts import paths
from build_scripts.bootstrap import requirements
from build_scripts.errors import InstallError
from build_scripts.fetch import pip

PROJECT = "onecard"
COMMANDS = ("onecard", "onecard-gateway")  # those of pyproject.toml
# Python compiles a module when it is first imported, and of these packages most never are.
_INSTALL = ("install", "--no-compile", "--no-deps")
_LOCKED = (*_INSTALL, "--require-hashes", "-r")
OWN_TORCH = "TORCH_LOCK"  # names a lock of another build (`make lock INDEX=...`)
# Of which no sha256 of the build for the CPU is known here: it is taken as its index states it.
UNPINNED = ((3, 10), "x86_64")


def build(say: Callable[[str], None]) -> None:
    """Make or mend .venv, with onecard in it. One of another fit Python version is kept.

    Raises DownloadError or InstallError.
    """
    fill(paths.VENV, paths.LOCK, say)
    if not _project_is_installed():
        say("onecard itself, editable")
        tools = paths.TOOLS_LOCK
        pip.pip([*_LOCKED, str(tools)], tools.name)
        # In isolation pip would fetch what builds it, whatever that is on the day.
        pip.pip([*_INSTALL, "--no-build-isolation", "-e", str(paths.ROOT)], PROJECT)


def fill(venv: Path, lock: Path, say: Callable[[str], None]) -> None:
    """Make or mend the environment `venv` of what `lock` pins.

    Raises DownloadError or InstallError.
    """
    python = venv / "bin" / "python"
    if version(python) not in requirements.PYTHONS or not _runs(python, "-m", "pip", "--version"):
        say(f"making {venv.name} with {sys.executable}")
        _create(venv)
    incomplete = _inspect(venv)
    if incomplete:
        say("mending what an interrupted installation left: " + ", ".join(incomplete))
        _forget(incomplete, venv)
    _install(venv, lock, say)
    _drop_unloadable_libraries(venv, say)


def version(python: Path = paths.PYTHON) -> tuple[int, int] | None:
    """The version of an environment's interpreter; None when there is none that runs."""
    with contextlib.suppress(OSError, ValueError):
        major, minor = _asked("import sys; print(*sys.version_info[:2])", python).split()
        return int(major), int(minor)
    return None


def libdir() -> str:
    """Where the interpreter's shared library lies if it has its own: .venv's, else this one's."""
    script = "import sysconfig; print(sysconfig.get_config_var('LIBDIR') or '')"
    with contextlib.suppress(OSError):
        return _asked(script, paths.PYTHON)
    return str(sysconfig.get_config_var("LIBDIR") or "")


def _asked(script: str, python: Path) -> str:
    command = [str(python), "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _create(venv: Path) -> None:
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = "\n  ".join((ran.stderr + ran.stdout).strip().splitlines()[-4:])
        raise InstallError(
            f"`python -m venv` failed:\n  {said}\n  "
            f"on Debian: `sudo apt-get install python{sys.version_info[0]}."
            f"{sys.version_info[1]}-venv`"
        )


def _install(venv: Path, lock: Path, say: Callable[[str], None]) -> None:
    python = venv / "bin" / "python"
    # First and by itself, so that a CPU build which pip is configured to find, or which is
    # installed already, satisfies it; the lock leaves torch and what only it needs out.
    torch = pinned_torch(paths.PROJECT.read_text(encoding="utf-8"))
    if not installed_torch(venv, torch):
        install_torch(python, torch, say)
    pypis = torch.replace("==", "-")
    locks = [paths.TORCH_LOCK]
    locks += [paths.CUDA_LOCK] if installed_torch(venv, torch) == pypis else []
    for one in locks:
        say(f"what torch needs, of {one.name}")
        pip.pip([*_LOCKED, str(one)], one.name, show=True, python=python)
    say(f"the packages of {lock.name}")
    pip.pip([*_INSTALL, "-r", str(lock)], lock.name, show=True, python=python)


def install_torch(
    python: Path,
    torch: str,
    say: Callable[[str], None],
    cpu: Path = paths.TORCH_CPU_LOCK,
    pypi: Path = paths.TORCH_LOCK,
) -> None:
    """Bring the build that TORCH_LOCK names, else the one for the CPU, else PyPI's, by hash.

    Raises DownloadError.
    """
    own = os.environ.get(OWN_TORCH)
    if own:
        say(f"torch, as {own} has it")
        pip.pip([*_LOCKED, own], own, show=True, python=python)
        return
    say(f"{torch} (several GB where pip finds no CPU build)")
    wanted = [*_LOCKED, str(cpu)]
    if (version(python), platform.machine()) == UNPINNED:
        say(f"no sha256 of {torch}+cpu is known for this Python; it is taken as an index states it")
        wanted = [*_INSTALL, f"{torch}+cpu"]
    try:
        pip.pip(wanted, f"{torch}+cpu", show=True, python=python)
        return
    except pip.NotOffered:
        free = requirements.free_bytes()
    if free < requirements.CUDA_FREE_BYTES:
        wanted_gib = requirements.CUDA_FREE_BYTES >> 30
        say(f"warning: {free / 2**30:.1f} GiB free, a CUDA build wants {wanted_gib}")
    pip.pip([*_LOCKED, str(pypi)], torch, show=True, python=python)


def installed_torch(venv: Path, torch: str) -> str:
    """`torch-<version>` of the environment, with its build; empty where it is another version."""
    found = (venv / "lib").glob(f"python3.*/site-packages/{torch.replace('==', '-')}*.dist-info")
    return next((one.name.removesuffix(".dist-info") for one in found), "")


def pinned_torch(project: str) -> str:
    """The requirement of torch that the text of pyproject.toml states."""
    # By pattern: Python 3.10 has no TOML reader.
    match = re.search(r'"(torch==[^"]+)"', project)
    if match is None:
        raise InstallError("pyproject.toml pins no torch, wanted `torch==<version>` in an extra")
    return match[1]


def _project_is_installed() -> bool:
    script = (
        "import json, sys; from importlib.metadata import distribution; "
        "import onecard_client, onecard_gateway; "
        "print(distribution(sys.argv[1]).read_text('direct_url.json'))"
    )
    command = [str(paths.PYTHON), "-c", script, PROJECT]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        return False
    url = json.loads(ran.stdout).get("url", "")
    has_commands = all((paths.VENV / "bin" / name).is_file() for name in COMMANDS)
    return bool(url == paths.ROOT.as_uri()) and has_commands


def _drop_unloadable_libraries(venv: Path, say: Callable[[str], None]) -> None:
    """Beside a CPU build of torch, torchaudio's CUDA libraries cannot load and spoil its import.

    Its Python part (transforms, fbank, resampling) works without them.
    """
    libraries = [
        path
        for path in (venv / "lib").glob("python3.*/site-packages/torchaudio/lib/*.so")
        if path.is_file()
    ]
    if libraries and _torch_is_cpu_only(venv):
        for path in libraries:
            path.unlink()
        say(f"removed {len(libraries)} CUDA libraries of torchaudio that this torch cannot load")


def _torch_is_cpu_only(venv: Path) -> bool:
    script = "import torch; raise SystemExit(torch.version.cuda is not None)"
    return _runs(venv / "bin" / "python", "-c", script)


def _runs(python: Path, *arguments: str) -> bool:
    with contextlib.suppress(OSError):
        command = [str(python), *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def _inspect(venv: Path) -> list[str]:
    """Distributions whose installation did not finish: not all files of their RECORD are there."""
    command = [str(venv / "bin" / "python"), "-m", "build_scripts.bootstrap.incomplete"]
    ran = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise InstallError(f"`{venv}` is broken: remove it and run the same again")
    return [str(name) for name in json.loads(ran.stdout)]


def _forget(names: list[str], venv: Path) -> None:
    """Remove the metadata of `names`, so that pip installs them anew over what is there."""
    (site,) = (venv / "lib").glob("python3.*/site-packages")
    for name in names:
        shutil.rmtree(site / name, ignore_errors=True)

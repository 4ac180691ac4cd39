"""The versions of every package here, and whether those of our environment are the locks'.

The image has three places: our environment, the interpreter that has tensorrt_llm, and Debian's
packages; a checkout has the first alone.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from build_scripts import container, paths
from build_scripts.doctor.finding import Finding, passed

LOCKS = (paths.LOCK, paths.TORCH_LOCK)
UNPINNED = paths.VENV / "torch.json"  # pip's report, where docker/Dockerfile had no lock of torch
TIMEOUT_S = 60.0
MAX_NAMED = 5

_ASK = (
    "import importlib.metadata as m, json, re, sys\n"
    "found = {re.sub(r'[-_.]+', '-', d.metadata['Name']).lower(): d.version\n"
    "         for d in m.distributions() if d.metadata['Name']}\n"
    "print(json.dumps(dict(sorted(found.items()))))"
)
_DEBIAN = ("dpkg-query", "--show", "--showformat", "${Package} ${Version}\\n")


def listed() -> dict[str, dict[str, str]]:
    """Name -> version of every package, by where it is; a place that is not here is left out."""
    places = {
        "environment": python_packages(str(paths.PYTHON)),
        "tensorrt_llm": python_packages(container.PYTHON)
        if Path(container.PYTHON).exists()
        else {},
        "debian": _debian_packages(),
    }
    return {place: found for place, found in places.items() if found}


def lines(places: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The packages of each place, as text."""
    for place, packages in places.items():
        yield f"{place}: {len(packages)} packages"
        yield from (f"  {name} {version}" for name, version in packages.items())


def python_packages(python: str) -> dict[str, str]:
    """Name -> version of an interpreter's packages; empty if it does not answer."""
    answer = _answer([python, "-c", _ASK])
    try:
        found: dict[str, str] = json.loads(answer)
    except ValueError:
        return {}
    return found


def finding(
    installed: Mapping[str, str], pinned: Mapping[str, str], unpinned: bool = False
) -> Finding:
    """Whether what is installed is what the locks pin; other packages do not matter.

    Args:
        unpinned: torch was taken as its index stated it, without a lock.
    """
    others = [
        f"{name} {installed[name]} instead of {version}"
        for name, version in pinned.items()
        if name in installed and installed[name].partition("+")[0] != version
    ]
    here = sum(name in installed for name in pinned)
    text = f"{here} of {len(pinned)} as the locks pin them"
    text += "; torch without a hash (`make lock INDEX=...` pins it)" if unpinned else ""
    if not others:
        return passed("packages", text, "the locks' versions")
    named = ", ".join(others[:MAX_NAMED]) + (" ..." if len(others) > MAX_NAMED else "")
    cure = "`make setup` (in a container: build the image again)"
    return Finding("warn", "packages", named, "the locks' versions", cure)


def check() -> Finding:
    return finding(python_packages(str(paths.PYTHON)), pinned(), UNPINNED.is_file())


def pinned(locks: tuple[Path, ...] = LOCKS) -> dict[str, str]:
    """Name -> version of what the locks pin for this interpreter."""
    from packaging.requirements import Requirement  # of the environment, in which doctor runs

    found = {}
    for path in locks:
        for line in re.findall(r"^[a-z0-9].*?(?= \\$)", path.read_text(encoding="utf-8"), re.M):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def _debian_packages() -> dict[str, str]:
    rows = (line.split(" ", 1) for line in _answer(list(_DEBIAN)).splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _answer(command: list[str]) -> str:
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout if ran.returncode == 0 else ""

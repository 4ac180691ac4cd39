"""Checks before a server is started; each failure says what was found and what to do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from build_scripts import child_process, container, paths, processes
from build_scripts.console import MIB
from build_scripts.engines import build
from build_scripts.errors import PortTaken, ServerError
from build_scripts.plans import speaker_pipeline
from build_scripts.server.launch import Launch, triton_environment
from build_scripts.server.settings import Settings
from onecard import manifest
from onecard.contract import pipeline

if TYPE_CHECKING:
    from build_scripts.server.served import Served

WANTED_NUMPY = "1.26"
MIN_FILES = 4096
MIN_SHM_BYTES = 512 * MIB


def check(settings: Settings, served: Served) -> list[str]:
    """Warnings about what may hinder the server.

    Raises ServerError or PortTaken for what would keep it from working.
    """
    launch = served.launch
    if launch.runtime == "embedded" and not (paths.RUNTIME / "manifest.json").is_file():
        raise ServerError(f"`{paths.RUNTIME}` is not complete: run `make setup`")
    if not paths.PYTHON.exists():
        raise ServerError(f"there is no `{paths.PYTHON}`: run `make setup`")
    warnings = []
    if settings.repository == paths.MODEL_REPOSITORY:  # another one says where its engines are
        warnings += check_engines(served, settings.vram_gib)
    check_numpy(launch)
    check_ports(settings)
    return [*warnings, *check_shared_memory(), *check_files()]


def check_engines(
    served: Served, vram_gib: float | None = None, root: Path = paths.ROOT
) -> list[str]:
    """Warnings about engines that are missing but not needed, or older than the plan.

    The models verify what is in the directories. Raises ServerError that names every directory
    without which a model would not load, and the command that makes them.
    """
    plan = served.deployment.plan
    cure = build.cure(plan, vram_gib)
    wanted = [path for path in build.directories(plan) if _is_wanted(path, served.launch)]
    missing = [path for path in wanted if not (root / path / manifest.FILENAME).is_file()]
    spare = [path for path in missing if _language(path) not in ("", *plan.align.preload)]
    lost = [path for path in missing if path not in spare]
    if lost:
        where = ""
        if plan.card is not None and served.launch.runtime == "embedded":
            where = ". Without that card: `make serve PLAN=cpu`"
        raise ServerError(f"engines that are not made yet: {', '.join(lost)}; {cure}{where}")
    warnings = [
        f"warning: {path} is not made yet, so words of that language are timed in proportion to "
        f"the text; {cure}"
        for path in spare
    ]
    if lack := speaker_pipeline.lack(plan, root):
        warnings.append(f"warning: {lack}; {cure}")
    if served.launch.runtime == "nvidia":
        made = set(wanted) - set(missing)
        stale = [path for path in build.stale(plan, root) if path in made]
        warnings += [f"warning: {path} is not what the plan says now; {cure}" for path in stale]
    return warnings


def _is_wanted(directory: str, launch: Launch) -> bool:
    """Whether a model of this server reads it; of two servers each serves a part."""
    _engines, _plan, name = directory.split("/")[:3]
    reader = name if name == "align" or pipeline.engine_kind(name) else "diarize"
    return launch.models is None or reader in launch.models


def _language(directory: str) -> str:
    """The language of engines/<plan>/align/<language>; empty for other directories."""
    return directory.partition("/align/")[2]


def check_numpy(launch: Launch) -> None:
    """Raises ServerError unless the models will import a NumPy that Triton's stub can handle.

    With NumPy 2 the server reports ready and every tensor is silently wrong.
    """
    script = "import json, numpy; print(json.dumps([numpy.__version__, numpy.__file__]))"
    asked = subprocess.run(
        [str(paths.PYTHON), "-c", script],
        env=triton_environment(launch),
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        said = (asked.stderr.strip().splitlines() or ["no output"])[-1]
        raise ServerError(f"NumPy cannot be imported ({said}): run `make setup`")
    version, origin = json.loads(asked.stdout)
    if not version.startswith(WANTED_NUMPY + "."):
        raise ServerError(
            f"the models would import NumPy `{version}` from `{origin}`, wanted {WANTED_NUMPY}.x: "
            "Triton's Python stub corrupts tensors in silence with any other. "
            "Run `make setup`, and look at PYTHONPATH"
        )


def check_ports(settings: Settings) -> None:
    """Raises PortTaken that names who holds a port."""
    for variable, port in settings.ports.items():
        address = settings.addresses[variable]
        if not processes.is_free(address, port):
            raise PortTaken(
                f"port `{port}` of `{address}` is taken by {processes.listener(port)}, "
                f"wanted it for {variable}: stop that process or choose another, {variable}=..."
            )


def free_shared_bytes() -> int:
    """Free bytes of /dev/shm."""
    stat = os.statvfs("/dev/shm")
    return stat.f_bavail * stat.f_frsize


def check_shared_memory() -> list[str]:
    """A warning where /dev/shm is too small for long recordings (Docker's default is 64 MiB)."""
    free_bytes = free_shared_bytes()
    if free_bytes >= MIN_SHM_BYTES:
        return []
    return [
        f"warning: /dev/shm has {free_bytes // MIB} MiB free, wanted {MIN_SHM_BYTES // MIB}: "
        f"long recordings will fail (in Docker: --shm-size={container.SHM_SIZE})"
    ]


def check_files() -> list[str]:
    """A warning where so few files may be open that idle connections soon keep others out."""
    allowed = child_process.file_limit()[0]
    if allowed >= MIN_FILES:
        return []
    return [
        f"warning: {allowed} files may be open, wanted {MIN_FILES}: a connection is one, and more "
        f"are not let in (ulimit -Hn {MIN_FILES}, or LimitNOFILE= of its systemd unit)"
    ]

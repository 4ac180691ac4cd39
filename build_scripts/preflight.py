"""What must hold before a server is started; each failure says what was found and what to do.

It knows ports, versions and shared memory, and nothing of a server that runs.
"""

from __future__ import annotations

import json
import os
import subprocess

from build_scripts import layout, processes, settings
from build_scripts.errors import PortTaken, ServerError
from build_scripts.launch import Launch
from build_scripts.settings import Settings

WANTED_NUMPY = "1.26"
MIN_SHM_BYTES = 512 * 2**20


def check(server: Settings, launch: Launch) -> list[str]:
    """Raises ServerError or PortTaken for what would keep the server from working; returns what
    may only bother it."""
    if launch.runtime == "embedded" and not (layout.RUNTIME / "manifest.json").is_file():
        raise ServerError(f"`{layout.RUNTIME}` is not complete: run `make setup`")
    if not layout.PYTHON.exists():
        raise ServerError(f"there is no `{layout.PYTHON}`: run `make setup`")
    check_numpy(launch)
    check_ports(server)
    return check_shared_memory()


def check_numpy(launch: Launch) -> None:
    """Raises ServerError unless the models will import a NumPy that Triton's stub can handle.

    With NumPy 2 the server reports ready and every tensor is silently wrong.
    """
    script = "import json, numpy; print(json.dumps([numpy.__version__, numpy.__file__]))"
    asked = subprocess.run(
        [str(layout.PYTHON), "-c", script],
        env=settings.environment(launch),
        cwd=layout.ROOT,
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


def check_ports(server: Settings) -> None:
    """Raises PortTaken that names who holds a port."""
    for variable, port in server.ports.items():
        if not processes.is_free(server.address, port):
            raise PortTaken(
                f"port `{port}` of `{server.address}` is taken by {processes.listener(port)}, "
                f"wanted it for {variable}: stop that process or choose another, {variable}=..."
            )


def check_shared_memory() -> list[str]:
    """A warning where /dev/shm is too small for long recordings (Docker's default is 64 MiB)."""
    stat = os.statvfs("/dev/shm")
    free_bytes = stat.f_bavail * stat.f_frsize
    if free_bytes >= MIN_SHM_BYTES:
        return []
    return [
        f"warning: /dev/shm has {free_bytes >> 20} MiB free, wanted {MIN_SHM_BYTES >> 20}: "
        "long recordings will fail (in Docker: --shm-size=1g)"
    ]

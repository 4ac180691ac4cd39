"""Which server runs under a name, what it recorded, and what one that was killed left behind.

It knows lock files, processes and shared memory by the server's name; it starts and ends nothing
that lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from build_scripts import layout, processes, settings
from build_scripts.errors import ServerError
from build_scripts.settings import Settings

STATE = "server.json"
LOOK_S = 0.2  # whoever only looks whether a lock is held has it for less


@contextmanager
def locked(server: Settings) -> Iterator[None]:
    """Hold this server's name. Raises ServerError while another `serve` of this checkout does."""
    deadline_s = time.monotonic() + LOOK_S
    while (file := _lock(server)) is None:
        if time.monotonic() > deadline_s:
            pid = state(server).get("server", "?")
            raise ServerError(
                f"this checkout's server is running already on port `{server.http_port}` "
                f"(pid {pid}): `make stop` ends it, HTTP_PORT=... starts another beside it"
            )
        time.sleep(0.01)
    with file:
        yield


def _lock(server: Settings) -> IO[str] | None:
    """The lock file, locked; None while somebody else has it."""
    server.run.mkdir(parents=True, exist_ok=True)
    path = server.run / "lock"
    with contextlib.suppress(OSError):
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another start may have cleaned the folder away before the lock was taken.
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except OSError:
            file.close()
            raise
        file.close()
    return None


def is_held(run: Path) -> bool:
    """Whether a living `serve` holds the lock in `run`; the kernel releases it with the process."""
    try:
        with (run / "lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def running() -> list[str]:
    """The names (HTTP ports) of this checkout's servers that run now."""
    return [run.name for run in sorted(layout.RUN.glob("*/")) if is_held(run)]


def record(server: Settings, pid: int, phase: str) -> None:
    """Say to `wait` and `stop` how things stand with the Triton `pid`; replaced in one step."""
    document = {"phase": phase, "supervisor": os.getpid(), "server": pid}
    path = server.run / STATE
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(document) + "\n", encoding="utf-8")
    aside.replace(path)


def state(server: Settings) -> dict[str, Any]:
    """What the running `serve` recorded: phase, supervisor, server; empty when there is none."""
    try:
        document = json.loads((server.run / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def reclaim_all(own: Path, say: Callable[[str], None]) -> None:
    """Clean up after every server of this checkout whose `serve` is gone (kill -9, power cut).

    `own` is the directory whose lock the caller holds.
    """
    for run in sorted(layout.RUN.glob("*/")):
        if run == own or not is_held(run):
            count = reclaim(run)
            if count:
                say(f"cleaned up after a server that was killed: {count} processes and regions")
            if run != own:
                shutil.rmtree(run, ignore_errors=True)


def reclaim(run: Path) -> int:
    """End the processes and remove the shared memory of the server whose name `run` has.

    Both are recognised by the shared-memory prefix, which is this checkout's and this port's
    alone: it stands in the command line of the server and of every stub, and in the environment of
    whatever they started in turn, such as Open MPI's daemon. Returns how many.
    """
    prefix = settings.shm_prefix(run.name)
    left = {*processes.mentioning(prefix), *processes.with_variable(settings.SERVER, prefix)}
    processes.end(sorted(left), patience_s=3)
    regions = list(Path("/dev/shm").glob(f"{prefix}*"))
    for region in regions:
        region.unlink(missing_ok=True)
    (run / STATE).unlink(missing_ok=True)
    return len(left) + len(regions)

"""The state of each server of this checkout: its lock, its record, and what it left behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from build_scripts import paths, processes
from build_scripts.errors import ServerError
from build_scripts.server import settings
from build_scripts.server.settings import Settings
from build_scripts.server.triton import scratch

STATE = "server.json"
MAX_AGE_S = 60.0  # of what is recorded every few seconds
LOOK_S = 0.2  # whoever only looks whether a lock is held has it for less


@contextmanager
def locked(server: Settings) -> Iterator[None]:
    """Hold this server's name. Raises ServerError while another `serve` of this checkout does."""
    deadline_s = time.monotonic() + LOOK_S
    while (file := _taken(server)) is None:
        if time.monotonic() > deadline_s:
            pid = state(server).get("server", "?")
            raise ServerError(
                f"this checkout's server is running already on port `{server.http_port}` "
                f"(pid {pid}): `make stop` ends it, HTTP_PORT=... starts another beside it"
            )
        time.sleep(0.01)
    with file:
        yield


@contextmanager
def _names() -> Iterator[None]:
    """Nobody else takes a name, or cleans up after one, while this is open."""
    paths.RUN.mkdir(parents=True, exist_ok=True)
    with (paths.RUN / "names.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _taken(server: Settings) -> IO[str] | None:
    with _names():
        return _lock(server)


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
    return [run.name for run in sorted(paths.RUN.glob("*/")) if is_held(run)]


def record(server: Settings, pid: int, phase: str, why: str = "") -> None:
    """Say to others how things stand with the Triton `pid`; replaced in one step.

    `phase` is `starting`, `ready`, `failing` (a public model does not answer; `why` says which),
    `draining`, or `paused` between two Tritons. `looked_s` is when this was so, by the monotonic
    clock, which all processes share and nobody sets.
    """
    document = {
        "phase": phase,
        "why": why,
        "plan": server.plan,
        "grpc_port": server.grpc_port,
        "supervisor": os.getpid(),
        "server": pid,
        "looked_s": round(time.monotonic(), 1),
    }
    path = server.run / STATE
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps(document) + "\n", encoding="utf-8")
    aside.replace(path)


def state(server: Settings) -> dict[str, Any]:
    """The document that the running `serve` recorded (`record`); empty if there is none."""
    try:
        document = json.loads((server.run / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def trouble(document: Mapping[str, Any]) -> str:
    """Why a server that recorded `document` is not ready; empty when it is."""
    now_s = time.monotonic()
    age_s = now_s - float(document.get("looked_s", now_s))
    if document.get("phase") == "ready" and age_s > MAX_AGE_S:
        return f"`serve` has not looked at it for {age_s:.0f} s: is it stopped?"
    if document.get("phase") == "ready":
        return ""
    return str(document.get("why") or document.get("phase") or "not started yet")


def reclaim_all(own: Path, say: Callable[[str], None]) -> None:
    """Clean up after every server of this checkout whose `serve` is gone (kill -9, power cut).

    `own` is the directory whose lock the caller holds.
    """
    for run in sorted(paths.RUN.glob("*/")):
        with _names():
            if run != own and is_held(run):
                continue
            count = reclaim(run)
            if run != own:
                shutil.rmtree(run, ignore_errors=True)
        if count:
            say(f"cleaned up after a server that was killed: {count} processes and regions")


def reclaim(run: Path) -> int:
    """End the processes and remove the shared memory of the server whose name `run` has.

    Processes are recognised by the variable that stands in the environment of all that a server
    starts, and of what those start in turn, such as Open MPI's daemon. The name can be foretold, so
    it is no proof: what is another user's is left alone, and so is who has the name only in an
    argument, as a `grep` for it.
    Returns how many processes, regions and folders there were.
    """
    prefix = settings.shm_prefix(run.name)
    left = processes.with_variable(settings.SERVER, prefix)
    processes.end(left, patience_s=3)
    regions = [path for path in Path("/dev/shm").glob(f"{prefix}*") if _is_ours(path)]
    for region in regions:
        region.unlink(missing_ok=True)
    folders = scratch.remove(run)
    (run / STATE).unlink(missing_ok=True)
    return len(left) + len(regions) + folders


def _is_ours(path: Path) -> bool:
    """Whether this user made a file there; anybody may make one with our prefix in /dev/shm."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        return status.st_uid == os.getuid() and stat.S_ISREG(status.st_mode)
    return False

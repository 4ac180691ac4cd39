"""The machine itself: its software, memory and disk against what a plan needs."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from build_scripts import container, gpus, paths
from build_scripts.bootstrap import requirements, venv
from build_scripts.bootstrap.requirements import Lack
from build_scripts.console import GIB, MIB
from build_scripts.doctor.finding import Finding, Status, at_least, passed
from build_scripts.engines.step import ROOM
from build_scripts.memory.deployment import Deployment
from build_scripts.server import preflight
from onecard import manifest
from onecard.manifest import ManifestError

# Of everything on the CPU plan: four processes with torch, Whisper base and an LLM of 135M.
CPU_RAM_BYTES = 6 * GIB
# Engines go through the page cache once; models, Triton and recordings stay. Estimated.
SERVING_RAM_BYTES = 8 * GIB
# `trtllm-build` was reported to want two to three times the engine; none of it was measured.
MIN_BUILD_TIMES, BUILD_TIMES = 2, 3
SERVING_DISK_BYTES = GIB  # logs, and what an upload leaves


def software() -> Iterator[Finding]:
    """Findings about what Triton's binaries and the pinned packages need, as setup has them."""
    version = venv.version()
    if version is None:
        cure = "run `make setup`"
        yield Finding("fail", "Python", f"`{paths.PYTHON}` does not run", "3.10 to 3.12", cure)
        return
    dotted = ".".join(str(part) for part in version)
    glibc = " ".join(platform.libc_ver())
    system, name = platform.system(), platform.machine()
    libdir = venv.libdir()
    for what, found, lack in (
        ("machine", f"{system} {name}", requirements.machine(system, name)),
        ("Python", dotted, requirements.interpreter(version)),
        ("C library", glibc, requirements.c_library(platform.libc_ver())),
        ("libpython", f"of Python {dotted}", requirements.library_of_interpreter(version, libdir)),
    ):
        yield requirement(what, found, lack)


def runtime() -> Finding:
    """Triton as setup assembles it, for a plan without a card."""
    try:
        found = manifest.verify(paths.RUNTIME)
    except ManifestError as error:
        return Finding("fail", "Triton", str(error), "what setup assembles", "run `make setup`")
    return passed("Triton", found.model)


def memory(deployment: Deployment, are_built: bool) -> Iterator[Finding]:
    """RAM and shared memory."""
    total, free = gpus.host_memory()
    yield ram(deployment, total, free, are_built)
    yield shared_memory(preflight.free_shared_bytes())


def ram(deployment: Deployment, total: int, free: int, are_built: bool) -> Finding:
    """Compare the machine's memory with what is still to be done.

    Args:
        are_built: the engines are there, so that only serving needs memory.
    """
    ledger = deployment.ledger
    found = f"{total / GIB:.1f} GiB, {free / GIB:.1f} available"
    if ledger is None or are_built:
        least = CPU_RAM_BYTES if ledger is None else SERVING_RAM_BYTES
        wanted = f"{least / GIB:.0f} GiB, estimated"
        status: Status = "pass" if total >= least else "warn"
        cure = "" if status == "pass" else "end other programs, or add swap: it will be slow"
        return Finding(status, "RAM", found, wanted, cure)
    engine = max(ledger.weights_by_process().values())  # one engine is built at a time
    least, enough = MIN_BUILD_TIMES * engine, BUILD_TIMES * engine
    wanted = f"{enough / GIB:.0f} GiB, at the very least {least / GIB:.0f}, to build, estimated"
    if total >= enough:
        return passed("RAM", found, wanted)
    cure = (
        "build on a machine with more RAM and the same kind of GPU (swap may do, slowly), and "
        f"copy engines/{deployment.plan.name}"
    )
    return Finding("warn" if total >= least else "fail", "RAM", found, wanted, cure)


def disk(deployment: Deployment, are_built: bool) -> Finding:
    """Compare the free space with what is still to come onto the checkout's file system."""
    ledger = deployment.ledger
    if are_built:
        wanted, why = SERVING_DISK_BYTES, "for logs"
    elif ledger is None:
        wanted, why = requirements.MIN_FREE_BYTES, "for setup"
    else:
        wanted = ROOM * sum(ledger.weights_by_process().values())
        why = "for downloads, what they are converted to, and engines; computed"
    free = requirements.free_bytes()
    found, text = f"{free / GIB:.0f} GiB free", f"{wanted / GIB:.0f} GiB {why}"
    if free >= wanted:
        return passed("disk", found, text)
    cure = f"free some space on the file system of `{paths.ROOT}`"
    return Finding("fail", "disk", found, text, cure)


def shared_memory(free_bytes: int) -> Finding:
    """Compare /dev/shm with what long recordings take of it."""
    return at_least(
        "shared memory",
        (free_bytes, f"/dev/shm has {free_bytes // MIB} MiB free"),
        (preflight.MIN_SHM_BYTES, f"{preflight.MIN_SHM_BYTES // MIB} MiB"),
        f"in Docker --shm-size={container.SHM_SIZE}; else `sudo mount -o "
        f"remount,size={container.SHM_SIZE} /dev/shm`",
        "warn",
    )


def requirement(what: str, found: str, lack: Lack | None) -> Finding:
    """One of setup's own requirements; `found` is shown where nothing is lacking."""
    if lack is None:
        return passed(what, found)
    return Finding("fail", what, *lack)

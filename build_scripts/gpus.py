"""The GPUs of this machine as NVML reports them: model, driver, memory, and who holds it.

A machine without a driver has no GPUs; that is an answer and not an error.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

_MEMINFO = Path("/proc/meminfo")


class GpuProcess(NamedTuple):
    """`bytes`: 0 where the driver does not say (Windows' driver model, some containers).

    In a container `pid` is the host's and `name` may be empty: the driver does not know of pid
    namespaces (NVIDIA/nvidia-docker, issue 1483).
    """

    pid: int
    name: str
    bytes: int


@dataclass(frozen=True)
class Gpu:
    """`sm`: compute capability, 86 for 8.6. `driver`: 575.57.08. `cuda`: the newest that the driver
    can run, 12.9. `unified`: its memory is the machine's, as on GB10, where NVML reports none."""

    index: int
    name: str
    sm: int
    total_bytes: int
    free_bytes: int
    driver: str
    processes: tuple[GpuProcess, ...] = ()
    cuda: str = ""
    uuid: str = ""
    unified: bool = False

    @property
    def used_bytes(self) -> int:
        return self.total_bytes - self.free_bytes


def gpus(library: Any = None, environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """Every GPU that CUDA_VISIBLE_DEVICES leaves; none where there is no driver or it is broken.

    `library`: what stands in for pynvml in a test.
    """
    with contextlib.suppress(Unusable), _session(library) as nvml:
        count = nvml.nvmlDeviceGetCount()
        found = [_gpu(nvml, index) for index in range(count)]
        return _visible(found, environment.get("CUDA_VISIBLE_DEVICES"))
    return []


def is_called(gpu: str, model: str) -> bool:
    """Whether `gpu`, a name that the driver reports, contains the model name in whole words.

    "NVIDIA L40" is not an "L4".
    """
    wanted, words = model.lower().split(), gpu.lower().replace("-", " ").split()
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))


def process_bytes(before: Gpu, now: Gpu, pid: int) -> int | None:
    """Bytes of the GPU that the process `pid` took, which was started after `before`.

    In a container NVML names it by one of the host's pids, the only one that was not there before.
    If the driver names no processes it is what the GPU has grown by, if its memory is its own.
    None where it cannot be told.
    """
    known = {process.pid for process in before.processes}
    fresh = {
        process.pid: process.bytes
        for process in now.processes
        if process.bytes and process.pid not in known
    }
    if pid in fresh:
        return fresh[pid]
    if len(fresh) == 1:
        return next(iter(fresh.values()))
    grown = now.used_bytes - before.used_bytes
    return grown if grown > 0 and not fresh and not now.unified else None


def problem(library: Any = None) -> str:
    """Why no GPU can be asked, in NVML's words; empty where they can."""
    try:
        with _session(library):
            return ""
    except Unusable as error:
        return str(error)


class Unusable(Exception):
    """pynvml is not installed, or finds no driver that it can talk to."""


@contextlib.contextmanager
def _session(library: Any) -> Iterator[Any]:
    nvml = library
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError as error:
            raise Unusable("nvidia-ml-py is not installed: run `make setup`") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise Unusable(str(error)) from error
    try:
        yield nvml
    except nvml.NVMLError as error:  # the driver went away, or was replaced under a running system
        raise Unusable(str(error)) from error
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    unified = False
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, free = int(memory.total), int(memory.free)
    except nvml.NVMLError_NotSupported:
        # GB10: "memory usage: not supported" (DGX Spark's known issues); its memory is the host's.
        total, free = host_memory()
        unified = True
    cuda = nvml.nvmlSystemGetCudaDriverVersion_v2()  # 12090 for 12.9
    return Gpu(
        index=index,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        sm=major * 10 + minor,
        total_bytes=total,
        free_bytes=free,
        driver=_text(nvml.nvmlSystemGetDriverVersion()),
        processes=_processes(nvml, handle),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}",
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        unified=unified,
    )


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    """Those that compute and those that draw, each once, the largest first."""
    used: dict[int, int] = {}
    for ask in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        with contextlib.suppress(nvml.NVMLError):
            for one in ask(handle):
                used[one.pid] = max(used.get(one.pid, 0), one.usedGpuMemory or 0)
    found = [GpuProcess(pid, _process_name(nvml, pid), held) for pid, held in used.items()]
    return tuple(sorted(found, key=lambda one: -one.bytes))


def _process_name(nvml: Any, pid: int) -> str:
    with contextlib.suppress(nvml.NVMLError):
        return _text(nvml.nvmlSystemGetProcessName(pid))
    return ""


def _visible(gpus: list[Gpu], names: str | None) -> list[Gpu]:
    """As CUDA reads the variable: indices or UUIDs, in that order, up to the first unknown one."""
    if names is None:
        return gpus
    visible: list[Gpu] = []
    for name in (part.strip() for part in names.split(",")):
        match = [
            gpu
            for gpu in gpus
            if name == str(gpu.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name))
        ]
        if len(match) != 1:
            break
        visible += match
    return visible


def host_memory() -> tuple[int, int]:
    """Total and available bytes of the machine's own memory."""
    kib = {}
    for line in _MEMINFO.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        kib[name] = int(value.split()[0])
    return kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

"""The GPU, its driver and its free memory against a plan's card and ledger."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from build_scripts import container
from build_scripts import gpus as nvml
from build_scripts.console import GIB, mib
from build_scripts.doctor.finding import Finding, at_least, passed
from build_scripts.gpus import Gpu
from build_scripts.memory.deployment import Deployment
from build_scripts.memory.ledger import Ledger
from build_scripts.plans import match
from build_scripts.plans.schema import Card, Plan

# Boards for which NVIDIA's forward-compatibility packages let an older driver run a newer CUDA.
_DATA_CENTRE = re.compile(r"\b[ABHLTV]\d{1,3}[A-Z]?\b")
_WORKSTATION = re.compile(r"GeForce|RTX|Quadro|TITAN", re.IGNORECASE)
_DRIVER_CURE = (
    f"install NVIDIA's driver {container.MIN_DRIVER} or newer on the host (a container brings "
    "none), then restart"
)


def check(
    deployment: Deployment,
    gpus: Sequence[Gpu],
    environment: Mapping[str, str] = os.environ,
    problem: str = "",
) -> Iterator[Finding]:
    """Findings about the GPU of a plan with a card.

    Args:
        problem: why NVML cannot be asked, in its words; empty if it can.
    """
    plan, ledger = deployment.plan, deployment.ledger
    card = plan.card
    assert card is not None
    assert ledger is not None
    wanted = f"{card.name}, SM{card.sm}"
    if not gpus:
        yield _no_gpu(wanted, environment, problem)
        return
    gpu = match.largest(gpus)
    if len(gpus) > 1:
        yield _several(gpus, gpu)
    yield _architecture(plan, card, gpu)
    yield driver(gpu)
    yield cuda(gpu)
    yield size(plan, card, gpu)
    yield free_memory(ledger, gpu)


def _no_gpu(wanted: str, environment: Mapping[str, str], problem: str) -> Finding:
    hidden = environment.get("CUDA_VISIBLE_DEVICES")
    if problem:
        cure = (
            f"install the driver ({container.MIN_DRIVER} or newer); in a container, start it with "
            "`--gpus all` (docs/gpu/gpu.md). Without a GPU: PLAN=cpu"
        )
        return Finding("fail", "GPU", f"none ({problem})", wanted, cure)
    if hidden is not None:
        cure = "unset CUDA_VISIBLE_DEVICES, or name a GPU that `nvidia-smi -L` lists"
        found = f"none that CUDA_VISIBLE_DEVICES=`{hidden}` leaves"
        return Finding("fail", "GPU", found, wanted, cure)
    cure = "`nvidia-smi` says what the driver sees. Without a GPU: PLAN=cpu"
    return Finding("fail", "GPU", "none, though the driver answers", wanted, cure)


def _several(gpus: Sequence[Gpu], chosen: Gpu) -> Finding:
    """CUDA's first need not be NVML's first, and everything uses CUDA's first."""
    return Finding(
        "warn",
        "GPUs",
        ", ".join(gpu.name for gpu in gpus),
        "one",
        f"CUDA_VISIBLE_DEVICES={chosen.uuid} for every verb, so that each means the same one",
    )


def _architecture(plan: Plan, card: Card, gpu: Gpu) -> Finding:
    found, wanted = f"{gpu.name}, SM{gpu.sm}", f"{card.name}, SM{card.sm}"
    if gpu.sm != card.sm:
        cure = (
            "engines run on the SM that they were built on alone: choose this card's plan "
            "(PLAN=auto), or another card with CUDA_VISIBLE_DEVICES"
        )
        return Finding("fail", "GPU", found, wanted, cure)
    if not match.names_card(plan, gpu):
        cure = f"it has the SM of plan `{plan.name}`; its figures are of another card"
        return Finding("warn", "GPU", found, wanted, cure)
    return passed("GPU", found, wanted)


def driver(gpu: Gpu) -> Finding:
    """Compare the driver with the one that NVIDIA lists for the pinned container."""
    wanted = f"{container.MIN_DRIVER} or newer, for {container.TAG}"
    return at_least(
        "driver",
        (_is_new(gpu.driver, container.MIN_DRIVER), gpu.driver),
        (True, wanted),
        _DRIVER_CURE + _compatibility(gpu),
        "warn" if is_data_centre(gpu) else "fail",
    )


def cuda(gpu: Gpu) -> Finding:
    """Compare the CUDA that the driver runs with the one that the container was built with.

    Within a major version an older one may do (minor-version compatibility); NVIDIA lists a driver
    all the same.
    """
    wanted = ".".join(container.CUDA.split(".")[:2])
    is_near = gpu.cuda.split(".")[0] == wanted.split(".")[0] or is_data_centre(gpu)
    return at_least(
        "CUDA",
        (_is_new(gpu.cuda, wanted), f"the driver runs up to {gpu.cuda}"),
        (True, f"{wanted} or newer"),
        _DRIVER_CURE + _compatibility(gpu),
        "warn" if is_near else "fail",
    )


def size(plan: Plan, card: Card, gpu: Gpu) -> Finding:
    """Compare all of its memory with what the plan counts on."""
    gib = gpu.total_bytes / GIB
    whose = ", the machine's own" if gpu.unified else ""
    return at_least(
        "VRAM",
        (match.holds(plan, gpu), f"{gib:.1f} GiB{whose}"),
        (True, f"{card.vram_gib:g} GiB"),
        f"set card.vram_gib to {int(gib)} in plans/{plan.name}.toml; `make plan PLAN={plan.name}` "
        f"says what gives way, then `make repository`, and in the container `make engines "
        f"PLAN={plan.name}` (docs/gpu/gpu.md)",
    )


def free_memory(ledger: Ledger, gpu: Gpu) -> Finding:
    """Compare what is free now with the ledger, less what the driver keeps: NVML's free does not
    count that either."""
    wanted = ledger.total_bytes - ledger.by_process().get("driver", 0)
    text = f"{mib(gpu.free_bytes)} free"
    if gpu.processes:
        text += "; in use by " + ", ".join(_process(process) for process in gpu.processes)
    elif gpu.used_bytes > GIB and not gpu.unified:
        text += f"; {mib(gpu.used_bytes)} in use by processes that cannot be seen from here"
    cure = (
        "end what is on it (`make stop` for a server of this checkout, else `nvidia-smi`; a "
        "desktop counts too), or lower card.vram_gib by what has to stay"
    )
    ledger_says = f"{mib(wanted)}, the ledger's sum"
    return at_least("free VRAM", (gpu.free_bytes, text), (wanted, ledger_says), cure)


def is_data_centre(gpu: Gpu) -> bool:
    return bool(_DATA_CENTRE.search(gpu.name)) and not _WORKSTATION.search(gpu.name)


def _compatibility(gpu: Gpu) -> str:
    if not is_data_centre(gpu):
        return ""
    return ". This board may do with the container's forward-compatibility package instead"


def _process(process: nvml.GpuProcess) -> str:
    held = mib(process.bytes) if process.bytes else "of unknown size"
    return f"pid {process.pid} `{process.name or '?'}` {held}"


def _is_new(found: str, wanted: str) -> bool:
    return _numbers(found) >= _numbers(wanted)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))

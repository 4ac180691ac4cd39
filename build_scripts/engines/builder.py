"""Checks that this is the pinned container, on the plan's GPU, with nothing else on it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from build_scripts import container
from build_scripts import gpus as nvml
from build_scripts.console import mib
from build_scripts.engines.step import BUILDER
from build_scripts.errors import MachineError
from build_scripts.gpus import Gpu
from build_scripts.plans.schema import Card

WANTED = {"tensorrt_llm": container.TENSORRT_LLM, "tensorrt": container.TENSORRT}
CURE = f"run it in the container `{container.REFERENCE}`: docs/gpu/engines.md"
# What a driver and an idle desktop may hold while an engine is built, and one process of it.
MAX_USED_BYTES = 2**30
MAX_PROCESS_BYTES = 64 * 2**20

# From the packages' metadata: importing tensorrt_llm takes half a minute and starts MPI.
_ASK = (
    "import importlib.metadata as m, json, sys\n"
    "def of(name):\n"
    "    try: return m.version(name)\n"
    "    except m.PackageNotFoundError: return ''\n"
    "print(json.dumps({name: of(name) for name in sys.argv[1:]}))"
)


@dataclass(frozen=True)
class Builder:
    """What engines depend on besides their commands: the versions, and the GPU's SM."""

    tensorrt_llm: str
    tensorrt: str
    sm: int

    def facts(self) -> dict[str, str | int]:
        return asdict(self)


def pinned(card: Card) -> Builder:
    """The builder that a plan wants."""
    return Builder(container.TENSORRT_LLM, container.TENSORRT, card.sm)


def verify(
    card: Card, installed: Mapping[str, str] | None = None, gpus: Sequence[Gpu] | None = None
) -> Builder:
    """The builder that is here.

    Raises:
        MachineError: it is not the pinned container, not the plan's GPU, or not idle.
    """
    verify_versions(versions() if installed is None else installed)
    verify_gpu(card, nvml.gpus() if gpus is None else gpus)
    return pinned(card)


def versions() -> dict[str, str]:
    """TensorRT-LLM's and TensorRT's, empty where they are not installed.

    Raises:
        MachineError: NVIDIA's interpreter or `trtllm-build` is not there.
    """
    for program in (container.PYTHON, BUILDER):
        if shutil.which(program) is None:
            raise MachineError(f"there is no `{program}` here, wanted NVIDIA's tools: {CURE}")
    ran = subprocess.run(
        [container.PYTHON, "-c", _ASK, *WANTED], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        last = (ran.stderr.strip().splitlines() or ["no output"])[-1]
        raise MachineError(
            f"`{container.PYTHON}` cannot be asked for its packages ({last}): {CURE}"
        )
    installed: dict[str, str] = json.loads(ran.stdout)
    return installed


def verify_versions(installed: Mapping[str, str]) -> None:
    """Raises MachineError unless they are the pinned ones."""
    for name, wanted in WANTED.items():
        found = installed.get(name, "")
        if found != wanted:
            raise MachineError(
                f"`{name}` is `{found or 'not installed'}`, wanted `{wanted}`; engines "
                f"of one version are unreadable to another: {CURE}"
            )


def verify_gpu(card: Card, gpus: Sequence[Gpu]) -> None:
    """Raises MachineError unless the first GPU, on which CUDA builds, is the plan's and idle."""
    if not gpus:
        raise MachineError(
            f"NVML shows no GPU, wanted a {card.name} (SM{card.sm}): start the container with the "
            "NVIDIA runtime; `make doctor` says what is missing"
        )
    gpu = gpus[0]
    if gpu.sm != card.sm:
        raise MachineError(
            f"the GPU is a {gpu.name} (SM{gpu.sm}), the plan is for SM{card.sm} ({card.name}), and "
            "engines run on the SM that they were built on alone: choose the plan of this card "
            "(`make plan PLAN=auto`), or the card with CUDA_VISIBLE_DEVICES"
        )
    if gpu.unified:
        return
    busy = [process for process in gpu.processes if process.bytes > MAX_PROCESS_BYTES]
    if busy or gpu.used_bytes > MAX_USED_BYTES:
        who = ", ".join(
            f"pid {process.pid} `{process.name}` {mib(process.bytes)}" for process in busy
        )
        raise MachineError(
            f"{mib(gpu.used_bytes)} of the {gpu.name} are in use "
            f"({who or 'by processes that cannot be seen from here'}), wanted it idle: TensorRT "
            "leaves out kernels that do not fit into free memory, and the engine is slower for "
            "good. End them (`make stop`, `nvidia-smi`), then run it again"
        )

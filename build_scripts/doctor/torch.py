"""torch on the GPU: whether it has code for it, and whether NVRTC compiles complex abs() for it.

A child process has to ask: a CUDA context stays with whoever made one, and a failed compilation may
take its process along.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from build_scripts import paths
from build_scripts.doctor import container
from build_scripts.doctor.finding import Finding, passed
from build_scripts.plans.schema import Plan

TIMEOUT_S = 180.0  # the first CUDA context on a cold machine
BLACKWELL = (120, 121)  # where NVRTC of CUDA 12.x was seen to refuse
_MARK = "doctor: "
_SCRIPT = f"""
import json, torch
from onecard.networks import complex_abs
found = {{"torch": torch.__version__, "cuda": torch.version.cuda or ""}}
found["runs"] = torch.cuda.is_available()
if found["runs"]:
    found["archs"] = torch.cuda.get_arch_list()
    found["fault"] = complex_abs.fault("cuda")
print("{_MARK}" + json.dumps(found))
"""
_INDEX = "docs/gpu/gpu.md has TORCH_INDEX: which build of torch the images get"
_IN_CONTAINER = "run it in the container: `docker compose -f docker/compose.yml run --rm engines"


@dataclass(frozen=True)
class Torch:
    """What the environment's torch says of itself."""

    torch: str = ""
    cuda: str = ""  # what it was built with; empty for a CPU build
    runs: bool = False  # it sees a GPU
    archs: tuple[str, ...] = ()  # what it has code for: `sm_86`, `compute_90`
    fault: str = ""  # the refusal of NVRTC
    error: str = ""  # how the child process ended, if it did not answer


def look() -> Torch:
    """Ask the environment's torch, in a child process."""
    try:
        ran = subprocess.run(
            [str(paths.PYTHON), "-c", _SCRIPT],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Torch(error=str(error))
    said = [line for line in ran.stdout.splitlines() if line.startswith(_MARK)]
    if not said:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Torch(error=f"status {ran.returncode}: {last}")
    found: dict[str, Any] = json.loads(said[-1].removeprefix(_MARK))
    return Torch(**{**found, "archs": tuple(found.get("archs", ()))})


def check(plan: Plan, torch: Torch | None = None, inside: bool | None = None) -> Iterator[Finding]:
    """Findings about torch, for a plan with a card that align or diarize may use.

    Args:
        inside: whether this is NVIDIA's container; outside of it another torch may serve.
    """
    card = plan.card
    assert card is not None
    if "cuda" not in (plan.align.device, plan.diarize.device):
        return
    torch = look() if torch is None else torch
    inside = container.is_inside(plan) if inside is None else inside
    if not torch.cuda and not torch.error and not inside:
        yield passed("torch", f"{torch.torch}, which is not what serves: the images have their own")
        if card.sm in BLACKWELL:
            cure = f"{_IN_CONTAINER} doctor`"
            yield Finding("warn", "complex abs()", "not tried", f"tried on SM{card.sm}", cure)
        return
    yield _build(torch, card.sm)
    if torch.runs:
        yield _complex_abs(torch, card.sm)


def _build(torch: Torch, sm: int) -> Finding:
    wanted = f"a CUDA build with code for SM{sm}"
    if torch.error:
        return Finding("fail", "torch", torch.error, wanted, "run `make setup`")
    text = f"{torch.torch}, {', '.join(torch.archs) or 'which sees no GPU'}"
    if not torch.cuda:
        return Finding("fail", "torch", f"{torch.torch}, a CPU build", wanted, _INDEX)
    if not torch.runs:
        cure = (
            f"`{paths.PYTHON.name} -c 'import torch; torch.zeros(1).cuda()'` says why; most often "
            f"the driver is older than CUDA {torch.cuda}"
        )
        return Finding("fail", "torch", text, wanted, cure)
    if not has_code_for(sm, torch.archs):
        return Finding("fail", "torch", text, wanted, _INDEX)
    return passed("torch", text, wanted)


def has_code_for(sm: int, archs: tuple[str, ...]) -> bool:
    """Binaries run on their own major version from their minor on; PTX on everything newer."""
    for arch in archs:
        match = re.fullmatch(r"(sm|compute)_(\d+)([af]?)", arch)
        if match is None:
            continue
        kind, number, is_exact = match[1], int(match[2]), match[3] == "a"
        if number == sm or (kind == "compute" and number <= sm and not match[3]):
            return True
        if kind == "sm" and not is_exact and number // 10 == sm // 10 and number <= sm:
            return True
    return False


def _complex_abs(torch: Torch, sm: int) -> Finding:
    wanted = f"a kernel that NVRTC of CUDA {torch.cuda} compiles for SM{sm}"
    if not torch.fault:
        return passed("complex abs()", "compiled and run", wanted)
    cure = (
        "nothing to do: diarize tries it too when it loads, and takes magnitudes from real and "
        "imaginary parts (onecard/networks/complex_abs.py). A torch built with a newer CUDA needs "
        "no bridge"
    )
    return Finding("warn", "complex abs()", torch.fault, wanted, cure)

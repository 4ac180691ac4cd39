"""Which plan suits the GPU that is here: what PLAN=auto stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from build_scripts import container
from build_scripts import gpus as nvml
from build_scripts.console import say
from build_scripts.errors import PlanError
from build_scripts.gpus import Gpu
from build_scripts.plans import plan
from build_scripts.plans.schema import DEFAULT_PLAN, Plan

AUTO = "auto"
# A card's memory is stated in round numbers; error correction takes 1/16 of it on an A10 or A40.
_TOLERANCE = 0.07
_GIB = 2**30


@dataclass(frozen=True)
class Choice:
    """`warning`: empty where the plan was written for this very card."""

    plan: str
    warning: str = ""


def resolve(name: str, tell: Callable[[str], None] = say) -> str:
    """`name`, or where it is `auto` the plan for this machine; tells as `pick` does. Raises
    PlanError."""
    return pick(tell) if name == AUTO else name


def pick(tell: Callable[[str], None] = say, nvidia: Path = container.NVIDIA) -> str:
    """The plan for this machine; tells a doubt, and which plans cannot be read.

    Raises PlanError where only the plan without a card is left, and the server here is NVIDIA's,
    which cannot run that one.
    """
    gpus, plans = nvml.gpus(), _readable(tell)
    found = choose(gpus, plans)
    with_card = [one for one in plans if one.card is not None]
    if found.plan == DEFAULT_PLAN and container.runtime(bool(with_card), nvidia) == "nvidia":
        raise PlanError(_nothing_to_serve(gpus, with_card))
    if found.warning:
        tell(f"warning: {found.warning}")
    return found.plan


def _readable(tell: Callable[[str], None]) -> list[Plan]:
    """Every plan but those with a fault, which is told."""
    found = []
    for name in plan.names():
        try:
            found.append(plan.load(name))
        except PlanError as error:
            tell(f"warning: plan `{name}` is passed over: {error}")
    return found


def _nothing_to_serve(gpus: Sequence[Gpu], plans: Sequence[Plan]) -> str:
    known = ", ".join(
        f"{one.name} ({one.card.name}, SM{one.card.sm}, {one.card.vram_gib:g} GiB)"
        for one in plans
        if one.card is not None
    )
    if not gpus:
        return (
            f"no GPU was found ({nvml.problem() or 'CUDA_VISIBLE_DEVICES leaves none'}), and "
            f"NVIDIA's Triton, which is here, cannot run plan `{DEFAULT_PLAN}`. Start the "
            f"container with a GPU (docs/gpu/gpu.md) or name a plan with PLAN=; there are: {known}"
        )
    gpu = largest(gpus)
    return (
        f"no plan fits `{gpu.name}` ({_size(gpu)}), and NVIDIA's Triton, which is here, cannot run "
        f"plan `{DEFAULT_PLAN}`; there are: {known}. Copy the nearest of plans/, change [card], "
        "and name it with PLAN=; `make plan` says what must give way"
    )


def choose(gpus: Sequence[Gpu], plans: Sequence[Plan]) -> Choice:
    """The plan that names the card; else the largest of its compute capability that it can hold;
    else the one without a card. Of several GPUs the one with the most memory counts."""
    if not gpus:
        return Choice(DEFAULT_PLAN)
    gpu = largest(gpus)
    alike = [one for one in plans if one.card is not None and one.card.sm == gpu.sm]
    named = [one for one in alike if names_card(one, gpu) and holds(one, gpu)]
    if named:
        return Choice(max(named, key=_vram_gib).name)
    size = _size(gpu)
    smaller = [one for one in alike if holds(one, gpu)]
    if smaller:
        best = max(smaller, key=_vram_gib)
        return Choice(
            best.name,
            f"no plan names `{gpu.name}` ({size}); plan `{best.name}` has its compute capability "
            f"and fits. For all of its memory copy plans/{best.name}.toml and change [card]",
        )
    return Choice(
        DEFAULT_PLAN,
        f"no plan fits `{gpu.name}` ({size}), so plan `{DEFAULT_PLAN}` runs without it. Copy a "
        "plan of plans/, change [card], and `make plan` says what must give way",
    )


def largest(gpus: Sequence[Gpu]) -> Gpu:
    """The GPU that is served on: the one with the most memory, the first of equals."""
    return max(gpus, key=lambda gpu: gpu.total_bytes)


def names_card(plan: Plan, gpu: Gpu) -> bool:
    """Whether the plan's card is what the driver calls this GPU, or a part of that.

    Whole words count: plan `L4` is not for an L40.
    """
    return plan.card is not None and nvml.is_called(gpu.name, plan.card.name)


def holds(plan: Plan, gpu: Gpu) -> bool:
    """Whether the GPU has the memory that the plan counts on."""
    return _vram_gib(plan) * _GIB * (1 - _TOLERANCE) <= gpu.total_bytes


def _size(gpu: Gpu) -> str:
    return f"{gpu.total_bytes / _GIB:.1f} GiB, SM{gpu.sm}"


def _vram_gib(plan: Plan) -> float:
    return plan.card.vram_gib if plan.card is not None else 0.0

"""The engines of a plan with a GPU: which commands make them, and making them."""

from __future__ import annotations

from collections.abc import Callable

from build_scripts.engines import align, builder, llm, whisper
from build_scripts.engines.runner import Runner
from build_scripts.engines.step import Command, scratch
from build_scripts.errors import PlanError
from build_scripts.plans.schema import Card, Plan

MODELS = (whisper, llm, align)


def commands(plan: Plan) -> list[Command]:
    """Every command in order: all that is fetched first, then what is made of it.

    Raises:
        PlanError: the plan names something that cannot be built.
    """
    _card(plan)
    fetched = [command for model in MODELS for command in model.fetches(plan)]
    built = [command for model in MODELS for command in model.builds(plan)]
    return fetched + built


def build(plan: Plan, say: Callable[[str], None]) -> None:
    """Make what is missing or stale of the plan's engines, on the GPU that they are for.

    Raises:
        BuildError: the machine is not the one, or a step failed.
    """
    card = _card(plan)
    wanted = builder.pinned(card)

    def look() -> None:
        builder.verify(card)

    runner = Runner(commands(plan), wanted.facts(), scratch(plan.name), say, look=look)
    missing = runner.missing()
    if not missing:
        say(f"engines/{plan.name}: verified, nothing to build")
        return
    if any(command.is_nvidia for command in missing):
        look()  # before the downloads, and by the runner once more after them
    ran = runner.run()
    say(f"engines/{plan.name}: {len(ran)} of {len(commands(plan))} steps were needed")


def _card(plan: Plan) -> Card:
    if plan.card is None:
        raise PlanError(f"plan `{plan.name}` states no card: its engines are not TensorRT-LLM's")
    return plan.card

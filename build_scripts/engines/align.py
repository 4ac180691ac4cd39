"""The commands that bring the alignment models of a plan's languages.

Not every repository has its weights as safetensors, so they are converted.
"""

from __future__ import annotations

from build_scripts import paths
from build_scripts.engines import sources
from build_scripts.engines.step import (
    OWN_PYTHON,
    ROOM,
    Command,
    assemble,
    fetch,
    folder,
    scratch,
)
from build_scripts.plans.schema import Plan


def fetches(plan: Plan) -> list[Command]:
    """Bring each language's network and alphabet."""
    fetched = plan.align.fetched
    return [fetch(f"align {one}", sources.align(one), room=ROOM) for one in fetched]


def builds(plan: Plan) -> list[Command]:
    """Put each where the model `align` looks."""
    steps = (_convert, _assemble)
    return [step(plan, one) for one in plan.align.fetched for step in steps]


def _convert(plan: Plan, language: str) -> Command:
    files, target = folder(sources.align(language)), _made(plan, language)
    argv = (OWN_PYTHON, "-m", "build_scripts.engines.safetensors", "align", files, target)
    return Command(f"convert align {language}", argv, (files,), (target,))


def _made(plan: Plan, language: str) -> str:
    return f"{scratch(plan.name)}/align/{language}"


def _assemble(plan: Plan, language: str) -> Command:
    files = folder(sources.align(language))
    # Loaded in the plan's precision; what lies there is what was fetched.
    facts = {"name": "align", "precision": "float32", "backend": "torch", "origin": files}
    parts = {one: f"{files}/{one}" for one in sources.ALIGN_FILES}
    parts["model.safetensors"] = f"{_made(plan, language)}/model.safetensors"
    return assemble(f"align {language}", f"{paths.home(plan.name)}/align/{language}", facts, parts)

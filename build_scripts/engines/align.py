"""The steps that bring the alignment models of a plan's languages.

Not every repository has its weights as safetensors, so they are converted.
"""

from __future__ import annotations

from build_scripts import paths
from build_scripts.engines.checkpoints import sources
from build_scripts.engines.step import (
    OWN_PYTHON,
    ROOM,
    Step,
    assemble,
    fetch,
    folder,
    scratch,
)
from build_scripts.plans.schema import Plan


def fetches(plan: Plan) -> list[Step]:
    """Bring each language's network and alphabet."""
    return [
        fetch(f"align {language}", sources.align(language), room=ROOM)
        for language in plan.align.fetched
    ]


def builds(plan: Plan) -> list[Step]:
    """Put each where the model `align` looks."""
    return [
        step(plan, language) for language in plan.align.fetched for step in (_convert, _assemble)
    ]


def _convert(plan: Plan, language: str) -> Step:
    files, target = folder(sources.align(language)), _made(plan, language)
    module = "build_scripts.engines.checkpoints.safetensors"
    argv = (OWN_PYTHON, "-m", module, "align", files, target)
    return Step(f"convert align {language}", "convert", argv, (files,), (target,))


def _made(plan: Plan, language: str) -> str:
    return f"{scratch(plan.name)}/align/{language}"


def _assemble(plan: Plan, language: str) -> Step:
    files = folder(sources.align(language))
    # Loaded in the plan's precision; what lies there is what was fetched.
    facts = {"name": "align", "precision": "float32", "backend": "torch", "origin": files}
    parts = {file: f"{files}/{file}" for file in sources.ALIGN_FILES}
    parts["model.safetensors"] = f"{_made(plan, language)}/model.safetensors"
    return assemble(f"align {language}", f"{paths.home(plan.name)}/align/{language}", facts, parts)

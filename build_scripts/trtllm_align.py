"""The commands that bring the alignment models of a plan's languages.

It knows where `onecard.alignment` looks for them; the models are data of `trtllm_sources`.
"""

from __future__ import annotations

from build_scripts import trtllm_sources
from build_scripts.plan import Plan
from build_scripts.trtllm_command import Command, assemble, fetch, folder, home


def fetches(plan: Plan) -> list[Command]:
    """Bring each language's network and alphabet."""
    return [fetch(f"align {one}", trtllm_sources.align(one)) for one in plan.align.preload]


def builds(plan: Plan) -> list[Command]:
    """Put each where the model `align` looks."""
    return [_assemble(plan, one) for one in plan.align.preload]


def _assemble(plan: Plan, language: str) -> Command:
    files = folder(trtllm_sources.align(language))
    # Loaded in the plan's precision; what lies there is what was fetched.
    facts = {"name": "align", "precision": "float32", "backend": "torch", "origin": files}
    parts = {one: f"{files}/{one}" for one in trtllm_sources.ALIGN_FILES}
    return assemble(f"align {language}", f"{home(plan.name)}/align/{language}", facts, parts)

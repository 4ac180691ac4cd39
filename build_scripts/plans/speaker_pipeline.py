"""Which pipeline of pyannote's a plan wants for `diarize`, and where that model looks for it."""

from __future__ import annotations

from pathlib import Path

from build_scripts import paths
from build_scripts.plans.schema import Plan
from onecard import manifest

COMMUNITY = "community-1"  # diarize.pipeline; else a directory, or "none"
NAME = "diarization"  # of the directory below engines/<plan>
INSTEAD = "until then speakers are told apart by the small network of a package"


def is_wanted(plan: Plan) -> bool:
    return plan.diarize.pipeline == COMMUNITY


def directory(plan: Plan) -> str:
    """Where the model `diarize` looks for it, relative to the checkout."""
    return f"{paths.home(plan.name)}/{NAME}"


def served(plan: Plan) -> dict[str, str | bool]:
    """The parameters of the model `diarize` that say which pipeline it is."""
    where = directory(plan) if is_wanted(plan) else plan.diarize.pipeline
    return {"pipeline": where, "pipeline_is_optional": is_wanted(plan)}


def lack(plan: Plan, root: Path = paths.ROOT) -> str:
    """What a start warns of; empty where nothing lacks."""
    if not is_wanted(plan) or (root / directory(plan) / manifest.FILENAME).is_file():
        return ""
    return f"{directory(plan)} is not made yet: {INSTEAD}"

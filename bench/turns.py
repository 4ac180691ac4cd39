"""A repository with Whispers on demand beside those of a plan, and what a switch of them costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.interleave import Spread, spread
from build_scripts import paths
from build_scripts.memory.deployment import deploy
from build_scripts.model_repository import render
from build_scripts.plans import plan as plans
from build_scripts.plans.schema import Further, Plan
from onecard_client import Client

# Name -> the engine of the plan that it is once more.
IN_TURN: Mapping[str, str] = {"base-in-turn": "whisper", "tiny-in-turn": "whisper_tiny.en"}
_SIZES: Mapping[str, Any] = {"base-in-turn": "base", "tiny-in-turn": "tiny.en"}


def with_turns(name: str) -> Plan:
    """The plan `name` with Whispers of IN_TURN as well. Raises PlanError."""
    stated = plans.load(name)
    further = {one: Further(size, residence="on_demand") for one, size in _SIZES.items()}
    speech = dataclasses.replace(stated.speech, models={**stated.speech.models, **further})
    return dataclasses.replace(stated, speech=speech)


def write_repository(plan: Plan, folder: Path) -> Path:
    """A repository of `plan` below `folder`, on the engines that there are. Raises PlanError."""
    made, engines = paths.ENGINES.parent / plan.name, folder / "engines"
    engines.mkdir()
    for engine in made.iterdir():
        (engines / engine.name).symlink_to(engine)
    for name, engine_name in IN_TURN.items():
        (engines / f"whisper_{name}").symlink_to(made / engine_name)
    texts = {
        path: text.replace(f"engines/{plan.name}/", f"{engines}/")
        for path, text in render.render(deploy(plan)).items()
    }
    render.write_copy(texts, folder / "models")
    return folder / "models"


def switches(client: Client, clip: bytes, rounds: int) -> dict[str, Spread]:
    """Seconds that a request waited for each model of IN_TURN to load, in turn."""
    found: dict[str, list[float]] = {name: [] for name in IN_TURN}
    for _ in range(rounds):
        for name, seconds in found.items():
            said = client.transcribe(
                clip, model=name, language="en", align=False, diarize=False, beam_size=1
            )
            seconds.append(float(said.engine["recognize"]["model_load_s"]))
    return {name: spread(seconds) for name, seconds in found.items()}

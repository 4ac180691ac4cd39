"""The verb engines: makes engines/<plan>/* as a plan asks; what is up to date is left alone.

Runs in the environment's interpreter; setup calls `python -m build_scripts.engines.build`, which
takes no lock.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from build_scripts import arguments as dial
from build_scripts import errors, paths
from build_scripts.bootstrap.lock import alone
from build_scripts.console import Steps, aside, detail, say
from build_scripts.engines import builder, diarize, packages, trtllm
from build_scripts.engines.fingerprints import Fingerprints
from build_scripts.engines.step import Command
from build_scripts.memory.deployment import resolve
from build_scripts.plans import match, plan, schema
from build_scripts.plans.schema import Plan


def main(arguments: Sequence[str]) -> None:
    """Make the engines of one plan. Raises BuildError."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts engines",
        description="Make the engines of a plan; what is up to date is left alone. Those of a card "
        "are built by TensorRT-LLM: in NVIDIA's container, on that card (docs/engines.md).",
    )
    chosen = os.environ.get("PLAN") or schema.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="whose, default cpu; or PLAN=; `auto`")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("--json", action="store_true", help="with --dry-run: for machines")
    dial.add_argument(parser)
    asked = parser.parse_args(arguments)
    if asked.json and not asked.dry_run:
        parser.error("--json goes with --dry-run")
    tell = aside if asked.json else say
    name, vram_gib = match.resolve(asked.plan, tell), dial.read(asked.vram, os.environ)
    loaded = resolve(name, vram_gib, say=tell).plan
    if asked.dry_run:
        say(_dry_run(loaded, asked.json))
        return
    steps = Steps("engines", 1)
    steps.begin(f"models (engines/{loaded.name})")
    with alone():
        build(loaded, steps.done)
    steps.end("everything is there")


def commands(loaded: Plan) -> list[Command]:
    """Every command in the order in which `build` runs them. Raises PlanError."""
    return [*diarize.commands(loaded), *_needed(loaded)]


def _needed(loaded: Plan) -> list[Command]:
    """Those without which a model does not load."""
    own = packages.commands(loaded)
    return own if loaded.card is None else [*trtllm.commands(loaded), *own]


def directories(loaded: Plan) -> list[str]:
    """What the server cannot do without, relative to the checkout."""
    own = packages.commands(loaded)
    return [one.outputs[0] for one in _needed(loaded) if one.is_assembly or one in own]


def stale(loaded: Plan, root: Path = paths.ROOT) -> list[str]:
    """Those of a plan with a card that it asks for now and did not when they were built."""
    assert loaded.card is not None
    found = trtllm.commands(loaded)
    records = Fingerprints(found, builder.pinned(loaded.card).facts(), root)
    return [one.outputs[0] for one in found if one.is_assembly and not records.is_recorded(one)]


def cure(loaded: Plan, vram_gib: float | None = None) -> str:
    """What makes them, as a person would be told."""
    command = f"make engines PLAN={loaded.name}{dial.shown(vram_gib)}"
    if loaded.card is None:
        return f"`{command}` makes them"
    return f"`{command}` makes them, in the container and on the card (docs/gpu.md)"


def build(loaded: Plan, tell: Callable[[str], None]) -> None:
    """Make what is missing or stale of a plan's engines. Raises BuildError."""
    diarize.build(loaded, tell)  # first, so that what it asks for is read before hours pass
    if loaded.card is not None:
        trtllm.build(loaded, tell)
    for command in packages.commands(loaded):
        packages.run(command, tell)


def _dry_run(loaded: Plan, as_json: bool) -> str:
    """As `[{name, argv, inputs, outputs}]`, or one below the other for people."""
    found = commands(loaded)
    if as_json:
        return json.dumps([asdict(one) for one in found], indent=2)
    return "\n".join(f"# {one.name}\n{one.line()}" for one in found)


if __name__ == "__main__":
    errors.run(lambda _: build(plan.load(schema.DEFAULT_PLAN), detail))

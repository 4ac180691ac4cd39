"""The verb engines: makes the engines of a plan, or prints the commands that would."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from build_scripts import arguments as dial
from build_scripts.bootstrap.lock import alone
from build_scripts.console import Steps, aside, say
from build_scripts.engines import build
from build_scripts.memory.deployment import resolve
from build_scripts.plans import match, schema
from build_scripts.plans.schema import Plan


def main(arguments: Sequence[str]) -> None:
    """Make the engines of one plan. Raises BuildError."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts engines",
        description="Make the engines of a plan; what is up to date is left alone. Those of a card "
        "are built by TensorRT-LLM: in NVIDIA's container, on that card (docs/gpu/engines.md).",
    )
    chosen = os.environ.get("PLAN") or schema.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="whose, default cpu; or PLAN=; `auto`")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("--json", action="store_true", help="with --dry-run: for machines")
    dial.add_argument(parser)
    given = parser.parse_args(arguments)
    if given.json and not given.dry_run:
        parser.error("--json goes with --dry-run")
    tell = aside if given.json else say
    name, vram_gib = match.resolve(given.plan, tell), dial.read(given.vram, os.environ)
    plan = resolve(name, vram_gib, say=tell).plan
    if given.dry_run:
        say(_dry_run(plan, given.json))
        return
    steps = Steps("engines", 1)
    steps.begin(f"models (engines/{plan.name})")
    with alone():
        build.build(plan, steps.done)
    steps.end("everything is there")


def _dry_run(plan: Plan, as_json: bool) -> str:
    """Every step as `[{name, argv, inputs, outputs}]`, or one below the other for people."""
    steps = build.steps(plan)
    if as_json:
        return json.dumps([step.document() for step in steps], indent=2)
    return "\n".join(f"# {step.name}\n{step.line()}" for step in steps)

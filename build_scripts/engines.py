"""The verb engines: makes engines/<plan>/* as a plan asks; what is up to date is left alone.

It knows which plan is made how, and the order; each engine's module knows how it is made. Runs in
the environment's interpreter; setup calls `python -m build_scripts.engines`, which takes no lock.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from build_scripts import cards, layout, llm_engine, plan, refit, trtllm_engines, weights
from build_scripts.errors import BuildError
from build_scripts.plan import Plan
from build_scripts.progress import Steps, aside, detail, say
from build_scripts.setup import alone


def main(arguments: Sequence[str]) -> None:
    """Make the engines of one plan. Raises BuildError."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts engines",
        description="Make the engines of a plan; what is up to date is left alone. Those of a card "
        "are built by TensorRT-LLM: in NVIDIA's container, on that card (docs/engines.md).",
    )
    chosen = os.environ.get("PLAN") or plan.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="whose, default cpu; or PLAN=; `auto`")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("--json", action="store_true", help="with --dry-run: for machines")
    asked = parser.parse_args(arguments)
    if asked.json and not asked.dry_run:
        parser.error("--json goes with --dry-run")
    tell = aside if asked.json else say
    loaded = refit.load(cards.resolve(asked.plan), tell)
    if asked.dry_run:
        say(_dry_run(loaded, asked.json))
        return
    steps = Steps("engines", 1)
    steps.begin(f"models (engines/{loaded.name})")
    with alone():
        build(loaded, steps.done)
    steps.end("everything is there")


def build(loaded: Plan, tell: Callable[[str], None]) -> None:
    """Every engine of a plan. Raises BuildError."""
    if loaded.card is None:
        weights.build_all(tell)
        llm_engine.build(loaded.llm.checkpoint, loaded.llm.engine, tell)
        llm_engine.verify_window(loaded.llm.context_tokens)
        return
    trtllm_engines.build(loaded, tell)
    weights.build_speaker_models(layout.ENGINES.with_name(loaded.name), tell)


def _dry_run(loaded: Plan, as_json: bool) -> str:
    if loaded.card is not None:
        return trtllm_engines.dry_run(loaded) if as_json else trtllm_engines.listing(loaded)
    # Fetched and converted in this process; there is no command to show.
    return json.dumps([]) if as_json else f"plan `{loaded.name}` runs no commands"


if __name__ == "__main__":
    try:
        build(plan.load(plan.DEFAULT_PLAN), detail)
    except BuildError as error:
        sys.stderr.write(str(error))
        sys.exit(error.exit_code)

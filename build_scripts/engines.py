"""The verb engines: makes engines/cpu/* as a plan asks; what is up to date is left alone.

It knows which plan is made here and the order; each engine's module knows how it is made. Runs in
the environment's interpreter; setup calls `python -m build_scripts.engines`, which takes no lock.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from build_scripts import llm_engine, plan, weights
from build_scripts.errors import BuildError, PlanError
from build_scripts.progress import Steps, detail
from build_scripts.setup import alone

WINDOW = "max_attention_window_size"


def main(arguments: Sequence[str]) -> None:
    """Make the engines of one plan. Raises BuildError."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts engines",
        description="Make the engines of a plan; what is up to date is left alone.",
    )
    chosen = os.environ.get("PLAN") or plan.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="whose engines, default cpu; or PLAN=")
    name = parser.parse_args(arguments).plan
    steps = Steps("engines", 1)
    steps.begin(f"models (engines/{name})")
    with alone():
        build(name, steps.done)
    steps.end("everything is there")


def build(name: str, say: Callable[[str], None]) -> None:
    """Every engine of the plan `name`. Raises BuildError."""
    loaded = plan.load(name)
    if loaded.checkpoints is None:
        raise PlanError(
            f"plan `{name}` has no [checkpoints]: its engines are TensorRT-LLM's, which are built "
            "in NVIDIA's container. This command does not build them yet; it makes those of "
            f"`{plan.DEFAULT_PLAN}`"
        )
    weights.build_all(say)
    llm_engine.build(loaded.checkpoints, say)
    llm_engine.verify_window(int(loaded.models["llm"].parameters[WINDOW]))


if __name__ == "__main__":
    try:
        build(plan.DEFAULT_PLAN, detail)
    except BuildError as error:
        sys.stderr.write(str(error))
        sys.exit(error.exit_code)

"""What the plan without a GPU says of the models that the tests ask."""

from __future__ import annotations

from build_scripts import plan, serving


def max_streams(model: str) -> int:
    """Requests that `model` works on at a time."""
    return int(serving.models(plan.load(plan.DEFAULT_PLAN))[model].parameters["max_streams"])

"""What the plan without a GPU says of the models that the tests ask."""

from __future__ import annotations

from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from build_scripts.plans import schema


def max_streams(model: str) -> int:
    """Requests that `model` works on at a time."""
    return int(models.models(resolve(schema.DEFAULT_PLAN))[model].parameters["max_streams"])

"""Where a torch model runs: what the plan says, or what the operator says instead."""

from __future__ import annotations

import os
from typing import Any

import torch

OVERRIDE = "ONECARD_DEVICE"  # for every torch model: a plan for a GPU, served without one


def device(planned: str) -> torch.device:
    """The device that a model of the plan is to run on.

    Raises:
        RuntimeError: there is no such device here. Nothing moves to the CPU by itself, where it
            would be many times slower.
    """
    name = os.environ.get(OVERRIDE) or planned
    found = torch.device(name)
    if found.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"the plan wants `{name}`, and torch {torch.__version__} finds no CUDA device here: "
            "look at the driver (`make doctor`), serve another plan, or set "
            f"{OVERRIDE}=cpu to run the torch models on the CPU"
        )
    return found


def about(device: torch.device) -> dict[str, Any]:
    """What answers tell of a device: its kind, and of a GPU the name and compute capability."""
    if device.type != "cuda":
        return {"device": device.type}
    major, minor = torch.cuda.get_device_capability(device)
    name = torch.cuda.get_device_name(device)
    return {"device": device.type, "gpu": name, "compute_capability": f"{major}.{minor}"}

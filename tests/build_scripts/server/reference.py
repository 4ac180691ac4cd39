"""What a server of the reference card serves: its plan in each topology, and all models."""

from __future__ import annotations

import dataclasses

from build_scripts import paths
from build_scripts.plans import plan
from build_scripts.plans.schema import Plan, Serving, Topology

MODELS = tuple(sorted(path.parent.name for path in paths.MODEL_REPOSITORY.glob("*/config.pbtxt")))


def rtx3090(topology: Topology = "one_process") -> Plan:
    return dataclasses.replace(plan.load("rtx3090"), serving=Serving(topology))

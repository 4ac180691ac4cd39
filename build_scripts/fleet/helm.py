"""The verb helm: what deploy/helm/onecard needs to know of one or several plans, as its values.

python -m build_scripts helm --plan rtx3090 > values.yaml
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from build_scripts.console import say
from build_scripts.errors import PlanError
from build_scripts.plans import plan as plans
from build_scripts.plans.schema import Plan
from build_scripts.roofline import bounds, capacity

REFERENCE = "rtx3090"
# Seconds in which a server is to have done what waits for it; loading another one takes minutes.
CLEARED_WITHIN_S = 120
# Of the plan without a card, from docs/gpu/capacity.md: eight clients on two cores, rounded down.
CPU_RATE = 8.0
KNOBS = re.compile(
    r"VRAM_GIB|(LLM_|WHISPER_)?(MAX_TOKENS_IN_KV_CACHE|MAX_ATTENTION_WINDOW_SIZE"
    r"|KV_CACHE_FREE_GPU_MEM_FRACTION)"
)
_HOST_GIB = 32  # of a server with a card, as docker/compose.yml limits it
_SHM_GIB = 8


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Print the values. Raises PlanError for a plan that the chart cannot serve."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts helm",
        description="Values of deploy/helm/onecard for plans; the dial and the knobs of the "
        "environment are taken over.",
    )
    usual = environment.get("PLAN") or REFERENCE
    parser.add_argument(
        "--plan", action="append", help=f"may be given again; default {usual}; or PLAN="
    )
    parser.add_argument("--max-replicas", type=int, default=4, help="default 4")
    asked = parser.parse_args(arguments)
    knobs = {name: text for name, text in environment.items() if KNOBS.fullmatch(name) and text}
    names = dict.fromkeys(asked.plan or [usual])
    values = {
        "servers": {
            name: server(plans.load(name), knobs, max_replicas=asked.max_replicas) for name in names
        }
    }
    say("# Written by `python -m build_scripts helm`; computed from plans, measured on no cluster.")
    for line in yaml(values):
        say(line)


def query(server: str, release: str, namespace: str) -> str:
    """What the chart has KEDA ask Prometheus for."""
    labels = {"namespace": namespace, "onecard_server": server, "onecard_release": release}
    of = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"sum(onecard_audio_seconds_left{{{of}}})"


def server(plan: Plan, knobs: Mapping[str, str], *, max_replicas: int = 4) -> dict[str, Any]:
    """The value of `servers.<name>`.

    Args:
        knobs: the dial and the knobs, as variables; engines are built and served with the same.

    Raises:
        PlanError: the plan needs two servers on one card, or the most replicas are none.
    """
    if plan.serving.topology != "one_process":
        raise PlanError(
            f"plan `{plan.name}` has serving.topology `{plan.serving.topology}`, wanted "
            "`one_process`: the chart gives one pod a card"
        )
    if max_replicas < 1:
        raise PlanError(f"--max-replicas is `{max_replicas}`, wanted 1 or more")
    scaling = {
        "minReplicas": 1,
        "maxReplicas": max_replicas,
        "audioSecondsPerReplica": round(rate(plan) * CLEARED_WITHIN_S),
    }
    common: dict[str, Any] = {
        "plan": plan.name, "replicas": 1, "scaling": scaling, "env": dict(sorted(knobs.items())),
        "recordings": "100Gi",
    }  # fmt: skip
    if plan.card is None:
        requests = {"cpu": "2", "memory": "6Gi"}
        return {**common, "startSeconds": 600, "sharedMemory": "2Gi",
                "resources": {"requests": requests, "limits": {"memory": "12Gi"}}}  # fmt: skip
    gpu = {"nvidia.com/gpu": 1}
    memory = f"{_HOST_GIB}Gi"
    # Error correction takes up to a sixteenth of what a datasheet says.
    above = int(plan.card.vram_gib * 1024 * 15 / 16) - 1
    return {
        **common,
        "card": {"major": plan.card.sm // 10, "minor": plan.card.sm % 10, "aboveMiB": above},
        "startSeconds": 1800,
        "sharedMemory": f"{_SHM_GIB}Gi",
        "resources": {"requests": {"cpu": "4", "memory": memory},
                      "limits": {"memory": memory, **gpu}},
        "buildResources": {"requests": {"cpu": "4", "memory": memory},
                           "limits": {"memory": "64Gi", **gpu}},
    }  # fmt: skip


def rate(plan: Plan) -> float:
    """Seconds of audio a second that a server of `plan` is planned with."""
    if plan.card is None:
        return CPU_RATE
    return bounds.speech_rate(bounds.bounds(plan)) * capacity.SPEECH_SHARE


def yaml(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """Lines of YAML of nested mappings, whose other values are as in JSON."""
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}:", *yaml(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {json.dumps(value)}")
    return lines

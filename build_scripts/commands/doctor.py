"""The verb doctor: what this machine has against what a plan needs, line by line, with the cures.

It changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from build_scripts import arguments as dial
from build_scripts import gpus as nvml
from build_scripts.console import aside, say
from build_scripts.doctor import container, gpu, host, packages, torch
from build_scripts.doctor import engines as doctor_engines
from build_scripts.doctor.finding import Finding
from build_scripts.errors import MachineError
from build_scripts.gpus import Gpu
from build_scripts.memory.deployment import Deployment, resolve
from build_scripts.plans import match, schema
from build_scripts.plans.schema import Plan


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Print what was found for one plan. Returns the exit status: that of MachineError where
    something fails. Raises PlanError."""
    asked = _parse(arguments, environment)
    if asked.packages:
        listed = packages.listed()
        say(json.dumps(listed) if asked.json else "\n".join(packages.lines(listed)))
        return 0
    gpus = nvml.gpus(environment=environment)
    name = match.resolve(asked.plan, aside)
    vram_gib = dial.read(asked.vram, environment)
    deployment = resolve(name, vram_gib, environment, aside)
    findings = []
    if not asked.json:
        say(f"plan {name}: {_what(deployment.plan)}")
    for finding in examine(deployment, gpus, environment, vram_gib):
        findings.append(finding)
        if not asked.json:  # each at once: hashing the engines takes a minute
            say(finding.text())
    if asked.json:
        say(json.dumps(to_dict(name, findings)))
    else:
        say(_verdict(findings))
    return 0 if _is_fit(findings) else MachineError.exit_code


def _parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts doctor",
        description="What this machine has against what a plan needs. Exit status 3: it lacks "
        "something.",
    )
    chosen = environment.get("PLAN") or schema.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="which, default cpu; or PLAN=; `auto`")
    parser.add_argument("--packages", action="store_true", help="every package here, and no more")
    parser.add_argument("--json", action="store_true", help="for machines")
    dial.add_argument(parser)
    return parser.parse_args(arguments)


def examine(
    deployment: Deployment,
    gpus: Sequence[Gpu],
    environment: Mapping[str, str] = os.environ,
    vram_gib: float | None = None,
) -> Iterator[Finding]:
    """Every finding for a plan, the quick ones first."""
    plan = deployment.plan
    engines = doctor_engines.Engines(plan, vram_gib=vram_gib)
    yield from host.software()
    yield packages.check()
    if plan.card is None:
        yield host.runtime()
    else:
        yield from gpu.check(deployment, gpus, environment, nvml.problem())
        yield from container.check(plan)
        yield from torch.check(plan)
    yield from host.memory(deployment, engines.are_built)
    yield host.disk(deployment, engines.are_built)
    yield engines.finding()
    yield from engines.speakers()


def to_dict(plan: str, findings: Sequence[Finding]) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "plan": plan,
        "fit": _is_fit(findings),
        "findings": [finding.to_dict() for finding in findings],
    }


def _is_fit(findings: Sequence[Finding]) -> bool:
    return all(finding.status != "fail" for finding in findings)


def _verdict(findings: Sequence[Finding]) -> str:
    counts = {
        status: sum(finding.status == status for finding in findings)
        for status in ("pass", "warn", "fail")
    }
    return "doctor: " + ", ".join(f"{count} {status}" for status, count in counts.items())


def _what(plan: Plan) -> str:
    card = plan.card
    return "no card" if card is None else f"{card.name}, SM{card.sm}, {card.vram_gib:g} GiB"

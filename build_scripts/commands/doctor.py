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
from build_scripts.memory import fit
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
    turned = dial.read(asked.vram, environment)
    chosen = fit.load(name, aside, turned)
    found = []
    if not asked.json:
        say(f"plan {chosen.name}: {_what(chosen)}")
    for finding in examine(chosen, gpus, environment, turned):
        found.append(finding)
        if not asked.json:  # each at once: hashing the engines takes a minute
            say(finding.text())
    if asked.json:
        say(json.dumps(to_dict(chosen, found)))
    else:
        say(_verdict(found))
    return 0 if _is_fit(found) else MachineError.exit_code


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
    chosen: Plan,
    gpus: Sequence[Gpu],
    environment: Mapping[str, str] = os.environ,
    vram_gib: float | None = None,
) -> Iterator[Finding]:
    """Every finding for a plan, the quick ones first."""
    engines = doctor_engines.Engines(chosen, vram_gib=vram_gib)
    yield from host.software()
    yield packages.check()
    if chosen.card is None:
        yield host.runtime()
    else:
        yield from gpu.check(chosen, gpus, environment, nvml.problem())
        yield from container.check(chosen)
        yield from torch.check(chosen)
    yield from host.memory(chosen, engines.are_built)
    yield host.disk(chosen, engines.are_built)
    yield engines.finding()
    yield from engines.speakers()


def to_dict(chosen: Plan, found: Sequence[Finding]) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "plan": chosen.name,
        "fit": _is_fit(found),
        "findings": [one.to_dict() for one in found],
    }


def _is_fit(found: Sequence[Finding]) -> bool:
    return all(one.status != "fail" for one in found)


def _verdict(found: Sequence[Finding]) -> str:
    counts = {
        status: sum(one.status == status for one in found) for status in ("pass", "warn", "fail")
    }
    return "doctor: " + ", ".join(f"{count} {status}" for status, count in counts.items())


def _what(chosen: Plan) -> str:
    card = chosen.card
    return "no card" if card is None else f"{card.name}, SM{card.sm}, {card.vram_gib:g} GiB"

"""The verb plan: prints where every byte of a plan goes, and refuses what does not fit."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from build_scripts import arguments as dial
from build_scripts.console import GIB, MIB, aside, say
from build_scripts.memory import cures, engines
from build_scripts.memory.cures import Cure
from build_scripts.memory.deployment import Deployment, resolve
from build_scripts.memory.kv_cache import WINDOW, KvCaps
from build_scripts.memory.ledger import Ledger, triage_warnings
from build_scripts.plans import match, schema
from build_scripts.plans.schema import Plan

DOES_NOT_FIT = 2


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Print one plan's ledger. Returns the exit status; raises PlanError."""
    asked = _parse(arguments, environment)
    name = match.resolve(asked.plan, aside)
    deployment = resolve(name, asked.vram, environment, must_fit=False)
    known = _cures(deployment)
    if asked.json:
        say(json.dumps(to_dict(deployment, known)))
    else:
        _show(deployment, known)
    return 0 if deployment.fits else DOES_NOT_FIT


def _cures(deployment: Deployment) -> list[Cure]:
    ledger = deployment.ledger
    if ledger is None or ledger.fits:
        return []
    return cures.cheapest(deployment.plan, ledger, deployment.figures)


def _parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts plan",
        description="Where every byte of a plan goes. Exit status 2: it does not fit.",
    )
    chosen = environment.get("PLAN") or schema.DEFAULT_PLAN
    parser.add_argument("--plan", default=chosen, help="which, default cpu; or PLAN=; `auto`")
    parser.add_argument("--json", action="store_true", help="for machines")
    dial.add_argument(parser)
    asked = parser.parse_args(arguments)
    asked.vram = dial.read(asked.vram, environment)
    return asked


def to_dict(deployment: Deployment, known: list[Cure]) -> dict[str, Any]:
    """What `--json` prints.

    `headroom_gib` is what the GPU has beside the total, `headroom_wanted_gib` what the plan asks
    for; without a card there is neither `headroom_wanted_gib` nor `left_gib`.
    """
    if deployment.ledger is None:
        return {
            "plan": deployment.plan.name, "vram_gib": 0.0, "total_gib": 0.0, "headroom_gib": 0.0,
            "lines": [], "knobs": deployment.kv_caps, "fits": True, "refit": [], "cures": [],
            "on_demand": [whisper.name for whisper in deployment.plan.on_demand],
            "warnings": _warnings(deployment),
        }  # fmt: skip
    ledger = deployment.ledger
    return {
        "plan": deployment.plan.name,
        "vram_gib": ledger.vram_gib,
        "total_gib": round(ledger.total_bytes / GIB, 3),
        "headroom_gib": round(ledger.free_bytes / GIB, 3),
        "headroom_wanted_gib": ledger.headroom_gib,
        "left_gib": round(ledger.left_bytes / GIB, 3),
        "fits": ledger.fits,
        "lines": [
            {"name": line.name, "process": line.process, "engine": line.engine, "kind": line.kind,
             "bytes": line.bytes, "basis": line.basis, "source": line.source}
            for line in ledger.lines
        ],
        "knobs": deployment.kv_caps,
        "on_demand": [whisper.name for whisper in deployment.plan.on_demand],
        "refit": list(deployment.changes),
        "warnings": _warnings(deployment),
        "cures": [
            {"changes": [change.says for change in cure.changes],
             "costs": [change.costs for change in cure.changes],
             "saves_gib": round(cure.saves_bytes / GIB, 3)}
            for cure in known
        ],
    }  # fmt: skip


def _warnings(deployment: Deployment) -> list[str]:
    return triage_warnings(deployment.plan, int(deployment.kv_caps["llm"][WINDOW]))


def _show(deployment: Deployment, known: list[Cure]) -> None:
    plan, ledger = deployment.plan, deployment.ledger
    if plan.card is None or ledger is None:
        say(f"plan {plan.name}: no card. Everything runs on the CPU, in the machine's memory, "
            "which is not accounted for here; nothing is on a GPU.")  # fmt: skip
    else:
        say(f"plan {plan.name}: {plan.card.name}, SM{plan.card.sm}, {ledger.vram_gib:g} GiB, "
            f"{plan.serving.topology}")  # fmt: skip
        if deployment.changes:
            say("for this much memory: " + "; ".join(deployment.changes))
        _show_ledger(ledger)
    _show_turns(plan)
    for warning in _warnings(deployment):
        say(f"warning: {warning}")
    if ledger is None or ledger.fits:
        _show_caps(deployment.kv_caps)
    else:
        _show_cures(ledger, known)


def _show_turns(plan: Plan) -> None:
    """What is loaded on demand; with a card, what each needs of the room that they share."""
    if not plan.on_demand:
        return
    names = [whisper.name for whisper in plan.on_demand]
    if plan.card is not None:
        lines = (engines.lines_of(plan, whisper, {}) for whisper in plan.on_demand)
        sizes = map(engines.num_bytes, lines)
        names = [f"{name} {size / GIB:.2f} GiB" for name, size in zip(names, sizes, strict=True)]
    counted = "" if plan.card is None else "; the ledger has the largest, once"
    say(f"on demand, one at a time: {', '.join(names)}{counted}")


def _show_ledger(ledger: Ledger) -> None:
    say("")
    for line in _table(ledger):
        say(line)
    say("")
    _show_sums(ledger)


def _table(ledger: Ledger) -> list[str]:
    rows = [("process", "what", "kind", "MiB", "basis", "from")]
    rows += [
        (line.owner, line.name, line.kind, f"{line.bytes / MIB:,.1f}", line.basis, line.source)
        for line in ledger.lines
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return ["  ".join([*_padded(row[:5], widths), row[5]]) for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Columns of a width; the numbers at the right."""
    return [
        text.rjust(width) if i == 3 else text.ljust(width)
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _show_sums(ledger: Ledger) -> None:
    for owner, num_bytes in ledger.by_owner().items():
        say(f"{owner:24}{num_bytes / GIB:8.2f} GiB")
    say(f"{'sum':24}{ledger.total_bytes / GIB:8.2f} GiB")
    say(f"{'headroom, wanted':24}{ledger.headroom_gib:8.2f} GiB")
    say(f"{'left beside it':24}{ledger.left_bytes / GIB:8.2f} GiB of {ledger.vram_gib:g}")
    shares: dict[str, int] = {}
    for line in ledger.lines:
        shares[line.basis] = shares.get(line.basis, 0) + line.bytes
    say("of the sum " + ", ".join(
        f"{share / GIB:.2f} GiB {basis}" for basis, share in shares.items()
    ))  # fmt: skip


def _show_caps(caps: KvCaps) -> None:
    for engine, values in caps.items():
        say(f"{engine}: " + ", ".join(f"{name}={value}" for name, value in values.items()))


def _show_cures(ledger: Ledger, known: list[Cure]) -> None:
    say(f"DOES NOT FIT: {-ledger.left_bytes / GIB:.2f} GiB too much")
    if not known:
        say(f"no {cures.MAX_TOGETHER} changes together make it fit: a smaller LLM is needed "
            "(llm.architecture and llm.checkpoint), or a larger card")  # fmt: skip
        return
    say("the cheapest changes that make it fit:")
    for number, cure in enumerate(known, 1):
        says = " and ".join(change.says for change in cure.changes)
        say(f"  {number}. {says}: saves {cure.saves_bytes / GIB:.2f} GiB")
        for change in cure.changes:
            say(f"     costs: {change.costs}")

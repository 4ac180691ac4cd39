"""The verb plan: prints where every byte of a plan goes, and refuses what does not fit."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from build_scripts import arguments as dial
from build_scripts.console import aside, say
from build_scripts.memory import cures as shortfall
from build_scripts.memory import fit, kv_cache, ledger
from build_scripts.memory.cures import Cure
from build_scripts.memory.fit import Refit
from build_scripts.memory.ledger import Ledger
from build_scripts.memory.lines import GIB, MIB
from build_scripts.plans import match, plan, schema
from build_scripts.plans.schema import Plan
from build_scripts.server.monitoring import vram

DOES_NOT_FIT = 2


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Print one plan's ledger. Returns the exit status; raises PlanError."""
    asked = _parse(arguments, environment)
    stated = plan.load(match.resolve(asked.plan, aside))
    chosen = plan.with_vram(stated, asked.vram)
    if chosen.card is None:
        _show_without_card(chosen, asked.json, environment)
        return 0
    turned = fit.refit(chosen)
    # Where nothing fits, the plan itself is shown, not the least that was tried.
    shown = turned.plan if turned.fits else chosen
    found = ledger.ledger(shown)
    caps = kv_cache.knobs(shown)
    if found.fits:
        caps = kv_cache.overridden(shown, environment)
        served = vram.as_served(shown, caps)
        found = ledger.ledger(served, whisper_kv=int(caps["whisper"][kv_cache.TOKENS]))
    cures = [] if found.fits else shortfall.cheapest(shown)
    if asked.json:
        say(json.dumps(to_dict(shown, found, caps, turned if found.fits else None, cures)))
    else:
        _show(shown, found, caps, turned, cures)
    return 0 if found.fits else DOES_NOT_FIT


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


def to_dict(
    shown: Plan, found: Ledger, caps: kv_cache.Knobs, turned: Refit | None, cures: list[Cure]
) -> dict[str, Any]:
    """What `--json` prints. `headroom_gib`: of the card beside the total; `headroom_wanted_gib`:
    what the plan asks of it."""
    return {
        "plan": shown.name,
        "vram_gib": found.vram_gib,
        "total_gib": round(found.total_bytes / GIB, 3),
        "headroom_gib": round(found.free_bytes / GIB, 3),
        "headroom_wanted_gib": found.headroom_gib,
        "left_gib": round(found.left_bytes / GIB, 3),
        "fits": found.fits,
        "lines": [
            {"name": line.name, "process": line.process, "engine": line.engine, "kind": line.kind,
             "bytes": line.bytes, "basis": line.basis, "source": line.source}
            for line in found.lines
        ],
        "knobs": caps,
        "refit": list(turned.changes) if turned else [],
        "warnings": _warnings(shown, caps),
        "cures": [
            {"changes": [change.says for change in cure.changes],
             "costs": [change.costs for change in cure.changes],
             "saves_gib": round(cure.saves_bytes / GIB, 3)}
            for cure in cures
        ],
    }  # fmt: skip


def _warnings(shown: Plan, caps: kv_cache.Knobs) -> list[str]:
    return ledger.warnings(shown, int(caps["llm"][kv_cache.WINDOW]))


def _show(
    shown: Plan, found: Ledger, caps: kv_cache.Knobs, turned: Refit, cures: list[Cure]
) -> None:
    card = shown.card
    assert card is not None
    say(f"plan {shown.name}: {card.name}, SM{card.sm}, {found.vram_gib:g} GiB, "
        f"{shown.serving.topology}")  # fmt: skip
    if turned.changes and found.fits:
        say("for this much memory: " + "; ".join(turned.changes))
    say("")
    for line in _table(found):
        say(line)
    say("")
    _show_sums(found)
    for warning in _warnings(shown, caps):
        say(f"warning: {warning}")
    if found.fits:
        _show_knobs(caps)
    else:
        _show_cures(found, cures)


def _table(found: Ledger) -> list[str]:
    rows = [("process", "what", "kind", "MiB", "basis", "from")]
    rows += [
        (line.owner, line.name, line.kind, f"{line.bytes / MIB:,.1f}", line.basis, line.source)
        for line in found.lines
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return ["  ".join([*_padded(row[:5], widths), row[5]]) for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Columns of a width; the numbers at the right."""
    return [
        text.rjust(width) if i == 3 else text.ljust(width)
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _show_sums(found: Ledger) -> None:
    for owner, num_bytes in found.by_owner().items():
        say(f"{owner:24}{num_bytes / GIB:8.2f} GiB")
    say(f"{'sum':24}{found.total_bytes / GIB:8.2f} GiB")
    say(f"{'headroom, wanted':24}{found.headroom_gib:8.2f} GiB")
    say(f"{'left beside it':24}{found.left_bytes / GIB:8.2f} GiB of {found.vram_gib:g}")
    shares: dict[str, int] = {}
    for line in found.lines:
        shares[line.basis] = shares.get(line.basis, 0) + line.bytes
    say("of the sum " + ", ".join(
        f"{share / GIB:.2f} GiB {basis}" for basis, share in shares.items()
    ))  # fmt: skip


def _show_knobs(caps: kv_cache.Knobs) -> None:
    for engine, values in caps.items():
        say(f"{engine}: " + ", ".join(f"{name}={value}" for name, value in values.items()))


def _show_cures(found: Ledger, cures: list[Cure]) -> None:
    say(f"DOES NOT FIT: {-found.left_bytes / GIB:.2f} GiB too much")
    if not cures:
        say(f"no {shortfall.MAX_TOGETHER} changes together make it fit: a smaller LLM is needed "
            "(llm.architecture and llm.checkpoint), or a larger card")  # fmt: skip
        return
    say("the cheapest changes that make it fit:")
    for number, cure in enumerate(cures, 1):
        says = " and ".join(change.says for change in cure.changes)
        say(f"  {number}. {says}: saves {cure.saves_bytes / GIB:.2f} GiB")
        for change in cure.changes:
            say(f"     costs: {change.costs}")


def _show_without_card(shown: Plan, as_json: bool, environment: Mapping[str, str]) -> None:
    caps = kv_cache.overridden(shown, environment)
    if as_json:
        say(json.dumps({
            "plan": shown.name, "vram_gib": 0.0, "total_gib": 0.0, "headroom_gib": 0.0,
            "lines": [], "knobs": caps, "fits": True, "refit": [], "cures": [],
            "warnings": _warnings(shown, caps),
        }))  # fmt: skip
        return
    say(f"plan {shown.name}: no card. Everything runs on the CPU, in the machine's memory, which "
        "is not accounted for here; nothing is on a GPU.")  # fmt: skip
    for warning in _warnings(shown, caps):
        say(f"warning: {warning}")
    _show_knobs(caps)

"""The verb roofline: prints how fast a plan can be at most on its card, and what it should hold."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from build_scripts.console import aside, say
from build_scripts.plans import match, plan
from build_scripts.plans.schema import Plan
from build_scripts.roofline import bounds, capacity, peaks
from build_scripts.roofline.bounds import Line
from build_scripts.roofline.capacity import Holding
from build_scripts.roofline.peaks import Peak

REFERENCE = "rtx3090"
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
LEFT = (0, 1, 5)  # columns with words


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Print one plan's bounds. Returns the exit status; raises PlanError."""
    asked = _parse(arguments, environment)
    chosen = plan.load(match.resolve(asked.plan, aside))
    peak = peaks.peak(chosen)
    lines = bounds.bounds(chosen)
    held = capacity.holdings(chosen, lines)
    if asked.json:
        say(json.dumps(to_dict(chosen, peak, lines, held)))
    else:
        _show(chosen, peak, lines, held)
    return 0


def _parse(arguments: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts roofline",
        description="How fast a plan can be at most on its card, and whether computing or memory "
        "limits it. Computed from dimensions and datasheets; nothing of it is measured.",
    )
    chosen = environment.get("PLAN") or REFERENCE
    parser.add_argument(
        "--plan", default=chosen, help=f"which, default {REFERENCE}; or PLAN=; `auto`"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser.parse_args(arguments)


def to_dict(
    shown: Plan, peak: Peak, lines: Sequence[Line], held: Sequence[Holding]
) -> dict[str, Any]:
    """What `--json` prints. `seconds`: at least; `rate`: of `unit`, at most."""
    assert shown.card is not None
    return {
        "plan": shown.name,
        "card": {
            "name": shown.card.name, "bytes_per_second": peak.bandwidth,
            "operations_per_second": peak.flops, "half_operations_per_second": peak.half_flops,
            "ridge": round(peak.ridge, 2), "source": peak.source,
        },
        "lines": [
            {"part": one.part, "name": one.name, "operations": one.operations, "bytes": one.bytes,
             "intensity": round(one.intensity, 3), "bound": one.bound, "seconds": one.seconds,
             "rate": one.rate, "unit": one.unit, "basis": "computed"}
            for one in lines
        ],
        "speech_rate": bounds.speech_rate(lines),
        "an_hour": {one.what: round(one.most) for one in held},
        "users": capacity.users(held),
        "waits": [
            {"load": load, "mean": capacity.mean_wait(load), "p95": capacity.p95_wait(load)}
            for load in LOADS
        ],
    }  # fmt: skip


def _show(shown: Plan, peak: Peak, lines: Sequence[Line], held: Sequence[Holding]) -> None:
    assert shown.card is not None
    say(f"plan {shown.name}: {shown.card.name}, {peak.bandwidth / 1e9:g} GB/s, "
        f"{peak.flops / 1e12:g} TFLOPS summed in float32, {peak.half_flops / 1e12:g} in float16, "
        f"ridge at {peak.ridge:.1f} operations a byte")  # fmt: skip
    say(f"({peak.source})")
    say("computed; bounds from above: no faster than this, nothing of it is measured")
    say("")
    for text in _table(lines):
        say(text)
    say(f"speech, its stages in turn: {bounds.speech_rate(lines):,.0f} s of audio/s")
    say("")
    _show_holdings(held)
    say("")
    _show_waits()


def short(number: float) -> str:
    """With as many digits as a bound is worth."""
    return (
        f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.2f}"
    )


def _table(lines: Sequence[Line]) -> list[str]:
    rows = [("part", "what", "GFLOP", "MB", "FLOP/B", "bound by", "ms at least", "at most")]
    rows += [
        (one.part, one.name, f"{one.operations / 1e9:,.1f}", f"{one.bytes / 1e6:,.1f}",
         f"{one.intensity:,.1f}", one.bound, f"{one.seconds * 1e3:,.1f}",
         f"{short(one.rate)} {one.unit}")
        for one in lines
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(7)]
    return [
        "  ".join(
            [text.ljust(width) if i in LEFT else text.rjust(width)
             for i, (text, width) in enumerate(zip(row, widths, strict=False))] + [row[7]]
        )
        for row in rows
    ]  # fmt: skip


def _show_holdings(held: Sequence[Holding]) -> None:
    say(
        f"should hold in an hour, planned with {capacity.SPEECH_SHARE:.0%} of speech's bound, "
        f"{capacity.TEXT_SHARE:.0%} of text's, {capacity.BUSY:.0%} busy;"
    )
    say("one of these alone, and the share of it that a user takes who wants so many:")
    for one in held:
        say(f"  {one.most:8,.0f} {one.what}; {one.by_a_user}: {one.share_of_a_user:.1%}")
    say(f"  {capacity.users(held):8,} users who want all three")


def _show_waits() -> None:
    say("waiting before a request begins, in units of what one takes (M/D/1):")
    say("  load  mean   p95")
    for load in LOADS:
        say(f"  {load:4.0%} {capacity.mean_wait(load):5.2f} {capacity.p95_wait(load):5.1f}")

"""The page of one run: the machine, every figure beside its target, what failed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import precisions
from bench.targets import BENCHMARKS, TARGETS, Target

HEADINGS = ("id", "what", "against", "median (spread)", "target", "met?")


def markdown(results: Mapping[str, Any]) -> str:
    """The whole page, with a line for every target of the benchmarks that were run."""
    parts = [f"# Benchmarks, {results['date']}", machine_line(results["machine"])]
    if results.get("quick"):
        parts.append("A quick run: few rounds and no long files. Do not quote it.")
    rows = [_row(target, results) for target in TARGETS if target.benchmark in results]
    parts.append(table(HEADINGS, rows))
    parts += [
        f"In `{name}`, {precisions.said(found['precisions'])}."
        for name, found in results.items()
        if name in BENCHMARKS and "precisions" in found
    ]
    parts += [
        found["table"] for name, found in results.items() if name in BENCHMARKS and "table" in found
    ]
    parts += [
        f"`{name}`: {said}."
        for name, found in results.items()
        if name in BENCHMARKS
        for said in found.get("said", ())
    ]
    failed = [
        f"- `{name}` failed: {found['error']}"
        for name, found in results.items()
        if name in BENCHMARKS and "error" in found
    ]
    if failed:
        parts.append("\n".join(failed))
    parts.append("What each line measures, and what would make it wrong: docs/bench.md.")
    return "\n\n".join(parts) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(kind: str, results: Mapping[str, Any], text: str, folder: Path) -> list[Path]:
    """A page and its JSON, named by what they are of and the date; their paths. Raises OSError."""
    stem = f"{kind}-" + results["date"].replace(":", "")
    document, page = folder / f"{stem}.json", folder / f"{stem}.md"
    document.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    return [page, document]


def figure(result: Mapping[str, Any], unit: str) -> str:
    """`median (low to high)`; the median alone of a single round."""
    median = _number(result["median"], unit)
    if result.get("rounds", 1) == 1:
        return median
    return f"{median} ({_number(result['low'], '')} to {_number(result['high'], '')})"


def _row(target: Target, results: Mapping[str, Any]) -> list[str]:
    wanted = "stated"
    if target.limit is not None:
        wanted = f"{target.direction} {target.limit:g}{_suffix(target.unit)}"
    found = target.of(results)
    if found is None:
        return [target.id, target.what, target.against, _absence(target, results), wanted, ""]
    met = {True: "yes", False: "**no**", None: ""}[target.is_met(found["median"])]
    return [target.id, target.what, target.against, figure(found, target.unit), wanted, met]


def _absence(target: Target, results: Mapping[str, Any]) -> str:
    found = results[target.benchmark]
    if "error" in found:
        return "failed, see below"
    skipped = found.get("skipped", {}).get(target.figure)
    return f"left out: {skipped}" if skipped else "not measured"


def machine_line(facts: Mapping[str, Any]) -> str:
    """What figures were measured on, in a sentence."""
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB of memory; load "
        f"{facts['load']} before, {facts.get('load_after', '?')} after; {facts['system']}, Python "
        f"{facts['python']}; {packages}."
    )


def _number(value: float, unit: str) -> str:
    digits = 3 if abs(value) < 2 else 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}{_suffix(unit)}"


def _suffix(unit: str) -> str:
    return unit if unit in ("x", "") else f" {unit}"

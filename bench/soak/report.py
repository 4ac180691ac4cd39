"""The page of a soak: the account, faults one by one, recovery times, memory and its slope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench import page, plots
from bench.soak.account import VERDICTS

MAX_FAULTS = 50  # on the page; the JSON has them all


def markdown(results: Mapping[str, Any]) -> str:
    """The whole page."""
    counts = results["counts"]
    parts = [
        f"# Soak, {results['date']}",
        page.machine_line(results["machine"]),
        f"{results['ran_s'] / 60:.1f} minutes of {results['minutes']:g} asked for, "
        f"{results['callers']} callers at a time, seed {results['seed']}, {_killing(results)}"
        + ("; **stopped early**." if results["is_stopped"] else "."),
        f"**{counts['lost']} lost, {counts['wrong']} wrong, {counts['untyped']} untyped** of "
        f"{results['begun']} requests: {counts['answered']} answered, {counts['refused']} refused "
        f"with their reason, {counts['dropped']} dropped by their caller.",
        _kinds(results["kinds"]),
        _faults(results["faults"]),
        _kills(results["kills"]),
        _held(results),
    ]
    parts.append(
        "`same` and `most different` compare texts with a run before the traffic. What each line "
        "means: docs/running/operations.md."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _killing(results: Mapping[str, Any]) -> str:
    every_s = results["kill_every_s"]
    return (
        f"in the second half a process killed {every_s:g} s after each recovery"
        if every_s
        else "no kills"
    )


def _kinds(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    headings = ("kind", *VERDICTS, "median", "p95", "same", "most different")
    rows = []
    for name, one in kinds.items():
        compared = f"{one['same']} of {one['compared']}" if one["compared"] else ""
        most = "" if one["most_difference"] is None else f"{one['most_difference']:.1%}"
        took = [_seconds(one["median_s"]), _seconds(one["p95_s"])]
        rows.append([name, *(str(one[verdict]) for verdict in VERDICTS), *took, compared, most])
    return page.table(headings, rows)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _faults(faults: list[Mapping[str, Any]]) -> str:
    lines = [
        f"- {one['verdict']}: {one['kind']} (request {one['number']}, begun at "
        f"{one['began_s']:.0f} s, {one['took_s']:.1f} s): {one['why']}"
        for one in faults[:MAX_FAULTS]
    ]
    if len(faults) > MAX_FAULTS:
        lines.append(f"- and {len(faults) - MAX_FAULTS} more in the JSON")
    return "\n".join(lines)


def _kills(kills: list[Mapping[str, Any]]) -> str:
    if not kills:
        return ""
    rows = []
    for what in sorted({one["what"] for one in kills}):
        took = [one["recovered_s"] for one in kills if one["what"] == what]
        back = sorted(seconds for seconds in took if seconds is not None)
        most = f"{back[-1]:.0f} s" if back else ""
        median = f"{back[len(back) // 2]:.0f} s" if back else ""
        rows.append([what, str(len(took)), median, most, str(len(took) - len(back))])
    headings = ("killed", "times", "all models answer again after (median)", "most", "never")
    return page.table(headings, rows)


def _held(results: Mapping[str, Any]) -> str:
    rest, held = results["at_rest"], results["most"]
    figures = ("pss_mib", "num_processes", "num_files", "shm_mib", "spool_mib")
    rows = [
        [name, *(f"{one[name]:g}" for one in (rest["before"], held, rest["after"]))]
        for name in figures
    ]
    slope = results["memory_slope"]
    said = "Too short for a slope of memory, which is of the time before kills, after ten minutes."
    if slope is not None:
        level = "which is level" if slope["is_level"] else "which is **not level**"
        said = (
            f"Memory grows by {slope['per_hour']:.1f} MiB an hour, standard error "
            f"{slope['error']:.1f}, {level}, from minute {slope['from_s'] / 60:.0f} to "
            f"{slope['until_s'] / 60:.0f}."
        )
    grown = ", ".join(f"{name} {mib:+.0f}" for name, mib in results["grown_mib"].items())
    said += f"\n\nMiB at rest after, against before: {grown}."
    return page.table(("held", "before", "most", "at rest after"), rows) + "\n\n" + said


def plot(results: Mapping[str, Any]) -> Figure:
    """Memory and open files over time, with kills as lines."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    series = results["series"]
    minutes = [seconds / 60 for seconds in series["time_s"]]
    upper.plot(minutes, series["pss_mib"], color="tab:blue", linewidth=0.8)
    upper.set_ylabel("memory, MiB")
    upper.set_ylim(bottom=0)
    lower.plot(minutes, series["num_files"], color="tab:green", linewidth=0.8, label="open files")
    lower.plot(minutes, series["spool_mib"], color="tab:orange", linewidth=0.8, label="spool, MiB")
    lower.plot(minutes, series["shm_mib"], color="tab:red", linewidth=0.8, label="/dev/shm, MiB")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("minutes")
    lower.legend(loc="center right", fontsize=8)
    for kill in results["kills"]:
        upper.axvline(kill["at_s"] / 60, color="black", linestyle=":", linewidth=0.6)
    return figure


def write(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """The page, its JSON and a plot, named by the date; their paths. Raises OSError."""
    stem = "soak-" + results["date"].replace(":", "")
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results.items()]
    document, text = folder / f"{stem}.json", folder / f"{stem}.md"
    document.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    text.write_text(markdown(results), encoding="utf-8")
    picture = folder / f"{stem}.png"
    plot(results).savefig(picture, dpi=70, metadata=plots.METADATA)
    return [text, document, picture]

"""The page of a rehearsal with two servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import page
from bench.fleet.observed import SHOWN_S

SCENARIOS = {
    "rolling": "both restarted in turn beside `onecard transcribe --url ... --url ...`",
    "killed": "one killed behind haproxy",
}


def faults(results: Mapping[str, Any]) -> list[str]:
    """Files that were lost or done twice, of all scenarios."""
    return [
        f"{name}: {fault}"
        for name in SCENARIOS
        if name in results
        for fault in results[name]["faults"]
    ]


def markdown(results: Mapping[str, Any]) -> str:
    """The whole page."""
    headings = ("what", "files", "lost or twice", "how it went")
    rows = [
        [what, f"{results[name]['files']} of {results['clip_s']:g} s",
         str(len(results[name]["faults"])), _how(name, results[name])]
        for name, what in SCENARIOS.items()
        if name in results
    ]  # fmt: skip
    parts = [
        f"# Two servers, {results['date']}",
        page.machine_line(results["machine"]),
        page.table(headings, rows),
        "\n".join(f"- {fault}" for fault in faults(results)),
        _seen(results.get("killed", {}).get("prometheus")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _seen(replay: Mapping[str, Any] | None) -> str:
    """What Prometheus saw while one was killed."""
    if replay is None:
        return ""
    most_s = max((left_s for _, left_s in replay["points"]), default=0.0)
    firing, pending = (", ".join(replay[state]) or "none" for state in ("firing", "pending"))
    return (
        f"Prometheus scraped both by the shipped configuration and rules. `{replay['query']}` was "
        f"at most {most_s:.0f} s in {len(replay['points'])} looks. With "
        f"{replay['audio_seconds_per_replica']:.0f} s a server, as the chart has it, the formula "
        f"wants at most {replay['wanted']}; with {SHOWN_S:.0f} s a server {replay['shown']}, and "
        f"Prometheus' own arithmetic {replay['by_prometheus']}. Alerts that fired: {firing}; that "
        f"were pending: {pending}."
    )


def _how(name: str, scenario: Mapping[str, Any]) -> str:
    if name == "rolling":
        restarts = " and ".join(f"{seconds:.0f} s" for seconds in scenario["restarts_s"])
        return f"restarts took {restarts}, from the signal to ready"
    told = (
        f"killed after {scenario['killed_after']} files of {scenario['callers']} callers; the "
        f"longest file took {scenario['longest_s']:.0f} s"
    )
    if scenario["most_left_s"] is None:
        return told
    return (
        f"{told}; at most {scenario['most_left_s']:.0f} s of audio left, for which the formula "
        f"wants {scenario['most_wanted']} servers"
    )

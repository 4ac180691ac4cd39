"""The page of a rehearsal with two servers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import page

SCENARIOS = {
    "rolling": "both restarted in turn beside `onecard transcribe --url ... --url ...`",
    "killed": "one killed behind haproxy",
}


def faults(found: Mapping[str, Any]) -> list[str]:
    """Files that were lost or done twice, of all scenarios."""
    return [
        f"{name}: {fault}" for name in SCENARIOS if name in found for fault in found[name]["faults"]
    ]


def markdown(found: Mapping[str, Any]) -> str:
    """The whole page."""
    headings = ("what", "files", "lost or twice", "how it went")
    rows = [
        [what, f"{found[name]['files']} of {found['clip_s']:g} s", str(len(found[name]["faults"])),
         _how(name, found[name])]
        for name, what in SCENARIOS.items()
        if name in found
    ]  # fmt: skip
    parts = [
        f"# Two servers, {found['date']}",
        page.machine_line(found["machine"]),
        page.table(headings, rows),
        "\n".join(f"- {fault}" for fault in faults(found)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _how(name: str, one: Mapping[str, Any]) -> str:
    if name == "rolling":
        restarts = " and ".join(f"{seconds:.0f} s" for seconds in one["restarts_s"])
        return f"restarts took {restarts}, from the signal to ready"
    told = (
        f"killed after {one['killed_after']} files of {one['callers']} callers; the longest file "
        f"took {one['longest_s']:.0f} s"
    )
    if one["most_left_s"] is None:
        return told
    return (
        f"{told}; at most {one['most_left_s']:.0f} s of audio left, for which the formula wants "
        f"{one['most_wanted']} servers"
    )


def write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """The page and its JSON, named by the date; their paths. Raises OSError."""
    stem = "fleet-" + found["date"].replace(":", "")
    document, text = folder / f"{stem}.json", folder / f"{stem}.md"
    document.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text.write_text(markdown(found), encoding="utf-8")
    return [text, document]

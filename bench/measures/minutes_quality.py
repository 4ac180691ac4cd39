"""Which labelled decisions and actions the minutes of 13 made-up dialogues have, and cite.

One server for each engine: the plan's, and those that `BENCH_ENGINES` names (directories as
`make engines` makes them, with commas between). `BENCH_DIALOGUES` is how many dialogues are read.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from bench.dialogues import Dialogue, labelled
from bench.measures.triage_quality import EMBEDDED, serving
from build_scripts.server.temporary import running
from onecard_client import Client, Minutes

TIMEOUT_S = 4 * 3600.0
KINDS = {"decisions": "decisions", "actions": "action_items"}


def measure() -> dict[str, Any]:
    """Recall, precision and valid citations by engine."""
    others = [name for name in os.environ.get("BENCH_ENGINES", "").split(",") if name]
    return {name: _of(name) for name in (EMBEDDED, *others)}


def _of(engine: str) -> dict[str, Any]:
    dialogues = labelled()[: int(os.environ.get("BENCH_DIALOGUES") or 0) or None]
    counts: Counter[str] = Counter()
    started_s = time.monotonic()
    model = None
    with (
        serving(engine),
        running() as one,
        Client(f"{one.reachable_address}:{one.grpc_port}") as client,
    ):
        for dialogue in dialogues:
            transcript = dialogue.transcript()
            found = client.minutes(transcript, template=dialogue.template, timeout_s=TIMEOUT_S)
            counts += scored(dialogue, found)
            model = found.account.engine.get("model") if found.account else None
    return _told(model, counts, len(dialogues), time.monotonic() - started_s)


def scored(dialogue: Dialogue, minutes: Minutes) -> Counter[str]:
    """Counts for one dialogue: an item and a label meet where they have a line in common."""
    counts: Counter[str] = Counter()
    for kind, place in KINDS.items():
        labels: Sequence[frozenset[int]] = getattr(dialogue, kind)
        items = [frozenset(item.segments) for item in getattr(minutes, place)]
        counts[f"{kind}_labelled"] += len(labels)
        counts[f"{kind}_written"] += len(items)
        counts[f"{kind}_found"] += sum(any(label & item for item in items) for label in labels)
        counts[f"{kind}_right"] += sum(any(label & item for label in labels) for item in items)
    segments = dialogue.transcript()["segments"]
    for place in ("topics", "decisions", "action_items", "open_questions", "quotes"):
        for item in getattr(minutes, place):
            counts["citations"] += 1
            counts["valid_citations"] += _is_valid(item, segments)
    counts["dropped"] += minutes.account.dropped if minutes.account else 0
    return counts


def _is_valid(item: Any, segments: Sequence[dict[str, Any]]) -> bool:
    """Whether an item cites segments that are there, at their times."""
    if not item.segments or not all(0 <= number < len(segments) for number in item.segments):
        return False
    cited = [segments[number] for number in item.segments]
    start, end = min(one["start"] for one in cited), max(one["end"] for one in cited)
    return bool((item.start, item.end) == (start, end))


def _told(model: Any, counts: Counter[str], number: int, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {"model": model, "dialogues": number, "seconds": seconds}
    for kind in KINDS:
        found[f"{kind}_recall"] = _share(counts[f"{kind}_found"], counts[f"{kind}_labelled"])
        found[f"{kind}_precision"] = _share(counts[f"{kind}_right"], counts[f"{kind}_written"])
    found["valid_citations"] = _share(counts["valid_citations"], counts["citations"])
    found |= {"citations": counts["citations"], "dropped": counts["dropped"]}
    shown = ", ".join(
        f"{kind}: {counts[f'{kind}_found']} of {counts[f'{kind}_labelled']} found, "
        f"{counts[f'{kind}_right']} of {counts[f'{kind}_written']} right"
        for kind in KINDS
    )
    print(
        f"  {model}: {shown}; {counts['valid_citations']} of {counts['citations']} citations "
        f"stand, {counts['dropped']} lines dropped, {seconds:.0f} s",
        flush=True,
    )
    return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

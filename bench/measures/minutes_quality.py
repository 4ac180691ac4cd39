"""Which labelled decisions and actions the minutes of 13 made-up dialogues have, and cite.

Each is read as text, and as a recording where espeak-ng can speak it. One server for each engine:
the plan's, and those that `BENCH_ENGINES` names (directories as `make engines` makes them, with
commas between). `BENCH_DIALOGUES` is how many dialogues are read.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import interleave, page, voices
from bench.dialogues import Dialogue, labelled
from bench.measures.triage_quality import EMBEDDED, serving
from build_scripts.server.temporary import running
from onecard_client import Client, Minutes

TIMEOUT_S = 4 * 3600.0
MAX_TOKENS = 400  # of an answer: twice what these dialogues hold; a model that writes on is wrong
QUICK_DIALOGUES = 3
KINDS = {"decisions": "decisions", "actions": "action_items"}
PLACES = ("topics", "decisions", "action_items", "open_questions", "quotes")
# Who speaks is no part of the labels.
HEARING: dict[str, Any] = {"language": "en", "diarize": False}
LinesOf = Callable[[int], frozenset[int]]  # the lines of the dialogue that a segment says


def measure() -> dict[str, Any]:
    """Recall, precision and valid citations by engine, of text and of speech."""
    others = [name for name in os.environ.get("BENCH_ENGINES", "").split(",") if name]
    found: dict[str, Any] = {name: _of(name) for name in (EMBEDDED, *others)}
    found["table"] = table(found)
    if not voices.is_there():
        found["said"] = [voices.ABSENT]
    return found


def table(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A line for each engine and each source of its dialogues."""
    headings = ["model", "dialogues", *(f"{kind}, found / right" for kind in KINDS)]
    rows = [
        [
            str(one["model"]),
            f"{one['dialogues']}, {source}",
            *(
                f"{_shown(one[f'{kind}_recall'])} / {_shown(one[f'{kind}_precision'])}"
                for kind in KINDS
            ),
            f"{_shown(one['valid_citations'])} of {one['citations']}",
            f"{one['seconds']:.0f}",
        ]
        for sources in results.values()
        for source, one in sources.items()
    ]
    return page.table([*headings, "citations that stand", "seconds"], rows)


def _shown(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


def _of(engine: str) -> dict[str, Any]:
    wanted = int(os.environ.get("BENCH_DIALOGUES") or 0)
    dialogues = labelled()[: wanted or (QUICK_DIALOGUES if interleave.is_quick() else None)]
    with (
        serving(engine),
        running() as one,
        Client(f"{one.reachable_address}:{one.grpc_port}") as client,
    ):
        found = {"text": _counted(client, dialogues, _of_text)}
        if voices.is_there():
            found["speech"] = _counted(client, dialogues, _of_speech)
    return found


Read = Callable[[Client, Dialogue], tuple[Minutes, Sequence[Any], LinesOf]]


def _of_text(client: Client, dialogue: Dialogue) -> tuple[Minutes, Sequence[Any], LinesOf]:
    transcript = dialogue.transcript()
    return _made(client, dialogue, transcript), transcript["segments"], lambda n: frozenset([n])


def _of_speech(client: Client, dialogue: Dialogue) -> tuple[Minutes, Sequence[Any], LinesOf]:
    spoken = voices.spoken(dialogue)
    transcript = client.transcribe(spoken.wav, timeout_s=TIMEOUT_S, **HEARING).to_dict()
    segments = transcript["segments"]
    lines = [spoken.lines_of(one["start"], one["end"]) for one in segments]
    return _made(client, dialogue, transcript), segments, lines.__getitem__


def _made(client: Client, dialogue: Dialogue, transcript: Any) -> Minutes:
    asked: dict[str, Any] = {"template": dialogue.template, "max_tokens": MAX_TOKENS}
    return client.minutes(transcript, timeout_s=TIMEOUT_S, **asked)


def _counted(client: Client, dialogues: Sequence[Dialogue], read: Read) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    started_s = time.monotonic()
    model = None
    for dialogue in dialogues:
        minutes, segments, lines_of = read(client, dialogue)
        counts += scored(dialogue, minutes, segments, lines_of)
        model = minutes.account.engine.get("model") if minutes.account else None
    source = read.__name__.removeprefix("_of_")
    return _told(source, model, counts, len(dialogues), time.monotonic() - started_s)


def scored(
    dialogue: Dialogue, minutes: Minutes, segments: Sequence[Any], lines_of: LinesOf
) -> Counter[str]:
    """Counts for one dialogue: an item and a label meet where they have a line in common."""
    counts: Counter[str] = Counter()
    for kind, place in KINDS.items():
        labels: Sequence[frozenset[int]] = getattr(dialogue, kind)
        items = [
            frozenset().union(*map(lines_of, item.segments)) for item in getattr(minutes, place)
        ]
        counts[f"{kind}_labelled"] += len(labels)
        counts[f"{kind}_written"] += len(items)
        counts[f"{kind}_found"] += sum(any(label & item for item in items) for label in labels)
        counts[f"{kind}_right"] += sum(any(label & item for label in labels) for item in items)
    for place in PLACES:
        for item in getattr(minutes, place):
            counts["citations"] += 1
            counts["valid_citations"] += _is_valid(item, segments)
    counts["dropped"] += minutes.account.dropped if minutes.account else 0
    return counts


def _is_valid(item: Any, segments: Sequence[Any]) -> bool:
    """Whether an item cites segments that are there, at their times."""
    if not item.segments or not all(0 <= number < len(segments) for number in item.segments):
        return False
    cited = [segments[number] for number in item.segments]
    start, end = min(one["start"] for one in cited), max(one["end"] for one in cited)
    return bool((item.start, item.end) == (start, end))


def _told(
    source: str, model: Any, counts: Counter[str], number: int, seconds: float
) -> dict[str, Any]:
    found: dict[str, Any] = {"model": model, "dialogues": number, "seconds": round(seconds, 1)}
    for kind in KINDS:
        found[f"{kind}_recall"] = _share(counts[f"{kind}_found"], counts[f"{kind}_labelled"])
        found[f"{kind}_precision"] = _share(counts[f"{kind}_right"], counts[f"{kind}_written"])
    found["valid_citations"] = _share(counts["valid_citations"], counts["citations"])
    found |= {"citations": counts["citations"], "dropped": counts["dropped"], "counts": counts}
    shown = ", ".join(
        f"{kind}: {counts[f'{kind}_found']} of {counts[f'{kind}_labelled']} found, "
        f"{counts[f'{kind}_right']} of {counts[f'{kind}_written']} right"
        for kind in KINDS
    )
    print(
        f"  {model}, {source}: {shown}; {counts['valid_citations']} of {counts['citations']} "
        f"citations stand, {counts['dropped']} lines dropped, {seconds:.0f} s",
        flush=True,
    )
    return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

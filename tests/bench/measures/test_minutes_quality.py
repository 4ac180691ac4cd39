"""What is counted of minutes, in lines of the dialogue, whatever segments they cite."""

from __future__ import annotations

from typing import Any

from bench import voices
from bench.dialogues import Dialogue
from bench.measures import minutes_quality
from onecard_client import ActionItem, Item, Minutes

DIALOGUE = Dialogue(
    "one", "meeting", (("Anna", "a"), ("Bob", "b"), ("Anna", "c")),
    decisions=(frozenset({0}), frozenset({2})), actions=(frozenset({1, 2}),),
)  # fmt: skip
SEGMENTS = [{"start": 0.0, "end": 4.0}, {"start": 4.0, "end": 6.0}]


def cited(kind: Any, number: int, **more: Any) -> Any:
    times = SEGMENTS[number]
    return kind(segments=(number,), start=times["start"], end=times["end"], **more)


def minutes(**places: Any) -> Minutes:
    none: dict[str, Any] = dict.fromkeys(minutes_quality.PLACES, ())
    texts = {"version": "1", "template": "meeting", "language": "en", "title": "", "summary": ""}
    return Minutes(**{**texts, **none, **places})


def test_the_page_has_a_line_for_each_source_of_each_engine() -> None:
    counts = {"dialogues": 3, "seconds": 169.04, "citations": 20, "valid_citations": 1.0}
    shares = {"decisions_recall": 0.25, "decisions_precision": None}
    one = {"model": "small", **counts, **shares, "actions_recall": 0.0, "actions_precision": 0.5}
    lines = minutes_quality.table({"engine": {"text": one, "speech": one}}).splitlines()
    assert lines[2:] == [
        f"| small | 3, {source} | 25 % / none | 0 % / 50 % | 100 % of 20 | 169 |"
        for source in ("text", "speech")
    ]


def test_an_item_meets_a_label_where_its_segments_say_a_line_of_it() -> None:
    spoken = voices.Spoken(b"", [(0.0, 1.9), (2.1, 4.0), (4.2, 6.0)])
    lines = [spoken.lines_of(one["start"], one["end"]) for one in SEGMENTS]
    assert lines == [{0, 1}, {2}]
    action = {"what": "x", "who": None, "due": None, "priority": "low"}
    found = minutes(
        decisions=(cited(Item, 0, text="right"), cited(Item, 0, text="right as well")),
        action_items=(cited(ActionItem, 1, **action),),
        topics=(Item("of another time", (1,), 0.0, 6.0), Item("nowhere", (7,), 0.0, 1.0)),
    )
    counts = minutes_quality.scored(DIALOGUE, found, SEGMENTS, lines.__getitem__)
    assert (counts["decisions_found"], counts["decisions_labelled"]) == (1, 2)
    assert (counts["decisions_right"], counts["decisions_written"]) == (2, 2)
    assert (counts["actions_found"], counts["actions_right"]) == (1, 1)
    assert (counts["valid_citations"], counts["citations"]) == (3, 5)

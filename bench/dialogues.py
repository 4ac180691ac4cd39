"""The labelled dialogues: made up, with the lines in which something is decided or taken on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "minutes" / "dialogues.jsonl"
LETTERS_PER_S = 15.0  # of fluent speech
PAUSE_S = 0.4


@dataclass(frozen=True)
class Dialogue:
    """One dialogue.

    Attributes:
        lines: who says what.
        decisions, actions: of each, the lines that say it, from 0.
    """

    id: str
    template: str
    lines: tuple[tuple[str, str], ...]
    decisions: tuple[frozenset[int], ...]
    actions: tuple[frozenset[int], ...]

    def transcript(self, from_s: float = 0.0) -> dict[str, Any]:
        """The RESULT that a faultless transcription would give, down to what minutes need."""
        segments = []
        for speaker, text in self.lines:
            until_s = from_s + len(text) / LETTERS_PER_S
            times = {"start": round(from_s, 3), "end": round(until_s, 3)}
            segments.append({**times, "text": text, "speaker": speaker})
            from_s = until_s + PAUSE_S
        return {"language": "en", "duration_s": round(from_s, 3), "segments": segments}


def labelled() -> list[Dialogue]:
    """All of them, in the file's order."""
    found = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        decisions, actions = (
            tuple(frozenset(lines) for lines in row[name]) for name in ("decisions", "actions")
        )
        lines = tuple((speaker, text) for speaker, text in row["lines"])
        found.append(Dialogue(row["id"], row["template"], lines, decisions, actions))
    return found


def composed(seconds: float) -> dict[str, Any]:
    """The transcript of a meeting of at least `seconds`: the dialogues one after the other."""
    segments: list[dict[str, Any]] = []
    from_s = 0.0
    while from_s < seconds:
        for dialogue in labelled():
            found = dialogue.transcript(from_s)
            segments += found["segments"]
            from_s = found["duration_s"]
    return {"language": "en", "duration_s": from_s, "segments": segments}

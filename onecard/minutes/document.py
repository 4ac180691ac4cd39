"""The minutes, or the answer to a question, as a document, and the account of what was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onecard.minutes.form.filling import Filled
from onecard.minutes.notes.findings import Finding, citation
from onecard.minutes.notes.merging import merged
from onecard.minutes.notes.reading import Reading
from onecard.minutes.notes.reducing import Noted
from onecard.minutes.options import MinutesOptions
from onecard.minutes.transcript import Line, Talk

VERSION = "1"
# Where findings of a kind are in the minutes.
PLACES = {
    "topics": "topic",
    "decisions": "decision",
    "action_items": "action",
    "open_questions": "question",
    "quotes": "quote",
}


def minutes(
    whole: Noted | None,
    findings: Sequence[Finding],
    filled: Filled | None,
    options: MinutesOptions,
    language: str,
) -> dict[str, Any]:
    """onecard/contract/schemas/minutes.schema.json.

    Args:
        found: in all parts, merged.
        filled: where the caller sent a schema.
    """
    return {
        "version": VERSION,
        "template": options.template,
        "language": options.language or language,
        "title": whole.head.title if whole else "",
        "summary": whole.head.summary if whole else "",
        **{place: _of_kind(kind, findings) for place, kind in PLACES.items()},
        **(filled.to_dict() if filled else {}),
    }


def findings(readings: Sequence[Reading]) -> list[Finding]:
    """Those of all parts; what two of them found alike is one."""
    return merged(one for reading in readings for one in reading.findings)


def answer(
    whole: Noted | None, readings: Sequence[Reading], options: MinutesOptions, language: str
) -> dict[str, Any]:
    """The answer, null where no part has one; what each part answers stays beside it."""
    found = [one for reading in readings for one in reading.findings]
    cited = {number for one in found for number in one.citation.segments}
    lines = [line for reading in readings for line in reading.part.lines if line.id in cited]
    return {
        "version": VERSION,
        "question": options.question,
        "language": options.language or language,
        "answer": whole.head.summary if whole else None,
        **(citation(lines).to_dict() if lines else {"segments": [], "start": None, "end": None}),
        "found": [one.to_dict() for one in found],
    }


def account(talk: Talk, readings: Sequence[Reading], num_dropped: int) -> dict[str, Any]:
    """Which seconds each part covered, and whether all that is said was read.

    `num_dropped`: citations of no part's findings, but of a caller's document.
    """
    read = [reading for reading in readings if reading.call.problem is None]
    covered = _seconds(line for reading in read for line in reading.part.lines)
    return {
        "parts": [reading.to_dict() for reading in readings],
        "segments": talk.num_segments,
        "speech_s": _seconds(talk.lines),
        "covered_s": covered,
        "complete": len(read) == len(readings),
        "findings": sum(len(reading.findings) for reading in readings),
        "dropped": sum(reading.num_dropped for reading in readings) + num_dropped,
    }


def _of_kind(kind: str, findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [one.to_dict() for one in findings if one.kind == kind]


def _seconds(lines: Iterable[Line]) -> float:
    """How long somebody speaks; what lies in two lines counts once."""
    total = until = 0.0
    for start, end in sorted((line.start, line.end) for line in lines):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return round(total, 3)

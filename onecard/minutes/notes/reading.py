"""What the model wrote of one part: its head, its findings, and what was dropped of it."""

from __future__ import annotations

from typing import Any

from onecard.minutes.call import Call
from onecard.minutes.notes import findings
from onecard.minutes.notes.findings import Finding, Head, InvalidFinding
from onecard.minutes.parts import Part

MAX_FINDINGS = 40  # of a part; a model that writes more is going round in circles
MAX_REPEATED = 2


class Reading:
    """One part's findings so far.

    Attributes:
        num_dropped: lines that were no finding, or whose citation does not stand.
        reasons: of those, the first few.
        is_done: the model says nothing new any more.
    """

    def __init__(self, part: Part, call: Call) -> None:
        self.part = part
        self.call = call
        self.head: Head | None = None
        self.findings: list[Finding] = []
        self.num_dropped = 0
        self.reasons: list[str] = []
        self._num_repeated = 0

    @property
    def is_done(self) -> bool:
        return len(self.findings) >= MAX_FINDINGS or self._num_repeated >= MAX_REPEATED

    def take(self, line: str) -> Finding | None:
        """The finding of the next line; None for the head, for one that was there, or for none."""
        try:
            document = findings.read(line)
            if "title" in document:
                self.head = findings.head(document)
                return None
            if document == {"answer": None}:
                return None
            found = findings.finding(document, self.part.lines)
        except InvalidFinding as error:
            self.num_dropped += 1
            self.reasons.append(str(error))
            return None
        if any((found.kind, found.text) == (one.kind, one.text) for one in self.findings):
            self._num_repeated += 1
            return None
        self.findings.append(found)
        return found

    def note(self, finding: Finding) -> dict[str, Any]:
        return {"part": self.part.number, "kind": finding.kind, **finding.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """The part in the account."""
        lines = self.part.lines
        return {
            "part": self.part.number,
            "start": self.part.start,
            "end": self.part.end,
            "segments": [lines[0].id, lines[-1].id],
            "overlapping": self.part.num_overlapping,
            "findings": len(self.findings),
            "dropped": self.num_dropped,
            "cut": self.call.was_cut,
            "problem": None if self.call.problem is None else str(self.call.problem),
        }

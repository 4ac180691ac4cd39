"""Findings of a whole recording to a document of the caller's form, some findings at a time.

A form can be anything, so that two filled ones cannot be joined: what does not fit into one call
goes into the next one, which is shown the document so far and writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from onecard.minutes.call import Call
from onecard.minutes.calls import Calls
from onecard.minutes.form.form import Form
from onecard.minutes.grammar import MAX_LETTERS
from onecard.minutes.notes.findings import Finding
from onecard.untrusted import sanitize

# Findings as the model sees them, the document so far, and the number of the call.
Asked = Callable[[Sequence[str], str, int], Call]


@dataclass
class Filled:
    """A document of the form, and what it cites.

    Attributes:
        document: None where the model wrote none that is of the form.
        findings: by their numbers, from 1.
        num_dropped: citations of findings that are not there.
        problems: which findings the document knows nothing of, and why.
    """

    findings: Sequence[Finding]
    document: Any = None
    num_dropped: int = 0
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Its fields as in the minutes."""
        numbered = enumerate(self.findings, 1)
        findings = [{"number": n, "kind": one.kind, **one.to_dict()} for n, one in numbered]
        return {"document": self.document, "findings": findings}


class Filler:
    """Fills in for one request.

    Args:
        room: tokens of findings that fit into one call, beside a document.
    """

    def __init__(
        self, form: Form, calls: Calls, asked: Asked, count: Callable[[str], int], room: int
    ) -> None:
        self._form = form
        self._calls = calls
        self._asked = asked
        self._count = count
        self._room = room

    def filled(self, findings: Sequence[Finding]) -> Generator[None, None, Filled]:
        """The document of all findings; yields where something is to be told."""
        whole = Filled(findings)
        if not findings:
            whole.problems.append("document: nothing was found that it could be made of")
        texts = [_shown(number, found) for number, found in enumerate(findings, 1)]
        for first, group in self._groups(texts):
            known = whole.document
            so_far = "" if known is None else json.dumps(known, ensure_ascii=False)
            call = self._asked(group, so_far, len(self._calls.made))
            written = yield from self._written(call)
            try:
                if call.problem is not None:
                    raise ValueError(str(call.problem))
                whole.document, num_dropped = self._form.read(written, len(findings))
                whole.num_dropped += num_dropped
            except ValueError as error:
                last = first + len(group) - 1
                whole.problems.append(f"document, findings {first} to {last} left out: {error}")
        return whole

    def _written(self, call: Call) -> Generator[None, None, str]:
        text = ""
        for told in self._calls.lines([call]):
            if told is None:
                yield None
            elif told[1] is not None:
                text = told[1]
        return text

    def _groups(self, texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """As many as fit, one at the least, and the number of the first one."""
        group: list[str] = []
        first, left = 1, self._room
        for number, text in enumerate(texts, 1):
            size = self._count(text) + 1
            if group and size > left:
                yield first, group
                group, first, left = [], number, self._room
            group.append(text)
            left -= size
        if group:
            yield first, group


def _shown(number: int, finding: Finding) -> str:
    """A finding as the model sees it, on one line."""
    known = (("who", finding.who), ("due", finding.due), ("said by", finding.speaker))
    more = "".join(f", {name}: {value}" for name, value in known if value)
    return f"{number} {finding.kind}: {sanitize.clip(finding.text, MAX_LETTERS['text'])}{more}"

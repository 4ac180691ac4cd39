"""Heads of parts to one, by calls of what fits into one, level by level."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from onecard.minutes.call import Call
from onecard.minutes.calls import Calls
from onecard.minutes.grammar import MAX_LETTERS
from onecard.minutes.notes import findings
from onecard.minutes.notes.findings import Head, InvalidFinding
from onecard.untrusted import sanitize

Count = Callable[[str], int]


@dataclass(frozen=True)
class Noted:
    """What is known of one part or of several, and where they are."""

    where: str
    head: Head

    @property
    def shown(self) -> str:
        title = f"{self.head.title}: " if self.head.title else ""
        return f"{self.where}: {title}{self.head.summary}"


class Reducer:
    """Reduces for one request.

    Args:
        asked: the call that makes one head of some texts.
        room: tokens of texts that fit into one.

    Attributes:
        problems: why a head was put together without the model.
    """

    def __init__(
        self, calls: Calls, asked: Callable[[Sequence[str], int], Call], count: Count, room: int
    ) -> None:
        self._calls = calls
        self._asked = asked
        self._count = count
        self._room = room
        self.problems: list[str] = []

    def whole(self, noted: Sequence[Noted]) -> Generator[None, None, Noted]:
        """One head of all; yields where something is to be told. `noted` is not empty."""
        level = list(noted)
        while len(level) > 1:
            level = yield from self._next(level)
        return level[0]

    def _next(self, level: Sequence[Noted]) -> Generator[None, None, list[Noted]]:
        groups = list(self._groups(level))
        calls: dict[int, Call] = {}
        for index, group in enumerate(groups):
            if len(group) > 1:
                texts = [self._cut(one.shown) for one in group]
                calls[index] = self._asked(texts, len(self._calls.made) + len(calls))
        heads: dict[int, Head] = {}
        numbers = {id(call): index for index, call in calls.items()}
        for told in self._calls.lines(list(calls.values())):
            if told is None:
                yield None
            elif told[1] is not None:
                heads |= self._read(numbers[id(told[0])], told[1])
        return [
            group[0] if len(group) == 1 else self._joined(group, heads.get(index), calls[index])
            for index, group in enumerate(groups)
        ]

    def _groups(self, level: Sequence[Noted]) -> Generator[list[Noted], None, None]:
        """As many as fit, and two at the least: a level is always shorter than the one before."""
        group: list[Noted] = []
        left = self._room
        for one in level:
            size = self._count(self._cut(one.shown)) + 1
            if len(group) > 1 and size > left:
                yield group
                group, left = [], self._room
            group.append(one)
            left -= size
        yield group

    def _cut(self, text: str) -> str:
        """At most half of the room."""
        while self._count(text) + 1 > self._room // 2 and len(text) > 1:
            text = sanitize.clip(text, len(text) * 3 // 4)
        return text

    def _read(self, index: int, line: str) -> dict[int, Head]:
        try:
            document = findings.read(line)
            return {
                index: findings.head({"title": "-", "summary": document.get("text"), **document})
            }
        except InvalidFinding as error:
            self.problems.append(str(error))
            return {}

    def _joined(self, group: Sequence[Noted], head: Head | None, call: Call) -> Noted:
        """The head that the model wrote; without one, those of the group one after the other."""
        where = f"{group[0].where} to {group[-1].where.rpartition(' ')[2]}"
        if head is None:
            reason = call.problem or "the model's answer ended before its end"
            self.problems.append(f"{call.what}: {reason}; the summaries stand one after the other")
            text = sanitize.clip(
                " ".join(one.head.summary for one in group), MAX_LETTERS["summary"]
            )
            head = Head(group[0].head.title, text)
        return Noted(where, head)

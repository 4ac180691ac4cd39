"""The events of OpenAI's Responses about calls of functions: begun, told in parts, and done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from onecard_client import ToolCall, ToolCallPart
from onecard_gateway.chat import responses_tools

Event = tuple[str, dict[str, Any]]


class CallEvents:
    """Tells calls in their order; one is done when the next begins, and the last by `rest`."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []  # told so far; the last may lack arguments

    def part(self, part: ToolCallPart) -> Iterator[Event]:
        """What `part` adds: the beginning of a call, and more of its arguments."""
        if part.id is not None:
            yield from self._done()
            self._calls.append(ToolCall(part.id, part.name or "", ""))
            (item,) = responses_tools.items(self._calls[-1:], "in_progress")
            yield "output_item.added", {"output_index": self._index, "item": item}
        if part.arguments:
            last = self._calls[-1]
            self._calls[-1] = replace(last, arguments=last.arguments + part.arguments)
            yield "function_call_arguments.delta", {**self._place, "delta": part.arguments}

    def rest(self, calls: Sequence[ToolCall]) -> Iterator[Event]:
        """What is missing of all `calls` of an answer that has ended."""
        for index, call in enumerate(calls):
            if index > self._index:  # of a server that tells calls at the end alone
                yield from self.part(ToolCallPart(index, call.arguments, call.id, call.name))
        yield from self._done()

    def _done(self) -> Iterator[Event]:
        if not self._calls:
            return
        call = self._calls[-1]
        told = {"name": call.name, "arguments": call.arguments}
        yield "function_call_arguments.done", {**self._place, **told}
        (item,) = responses_tools.items([call])
        yield "output_item.done", {"output_index": self._index, "item": item}

    @property
    def _index(self) -> int:
        return len(self._calls) - 1

    @property
    def _place(self) -> dict[str, Any]:
        (item,) = responses_tools.items(self._calls[-1:])
        return {"output_index": self._index, "item_id": item["id"]}

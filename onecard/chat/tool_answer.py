"""An answer under the guide of tools: the text in it as it comes, or the calls in it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Container, Sequence
from typing import Any

from onecard import documents
from onecard.chat import json_escape
from onecard.chat.call_parts import Call, CallParts, Part, new_id
from onecard.chat.tools import Toolset
from onecard.json_schema import answers
from onecard.json_schema.document import Document

_HEAD = re.compile(r'\s*\{\s*"content"\s*:\s*"')
_CALLS = re.compile(r'\s*\{\s*"tool_calls"\s*:\s*\[')
_PLAIN = re.compile(r'[^"\\]+')
_WHOLE = Document({"type": "object"})


class ToolAnswer:
    """Reads one answer; JSON goes in by pieces, and what a caller is told comes out.

    Args:
        names: of the tools that may be called.

    Attributes:
        raw: what went in.
        is_text: whether it is a text, and no calls; None until that is clear.
        is_told: whether callers are told what was pushed last; None until that is clear.
    """

    def __init__(self, names: Container[str] = ()) -> None:
        self.raw = ""
        self.is_text: bool | None = None
        self.is_told: bool | None = None
        self._parts = CallParts(names)
        self._ready: list[Part] = []
        self._waiting = ""
        self._has_ended = False

    @property
    def calls(self) -> Sequence[Call]:
        """Those that were told so far, or begun."""
        return self._parts.calls

    def push(self, piece: str) -> str:
        """The text in `content` that is complete with `piece`; empty where there are calls."""
        self.raw += piece
        self._waiting += piece
        was_open = self._is_open
        if self.is_text is None:
            self._decide()
        if self.is_text is None:
            return ""
        if self.is_text:
            text, num_taken = self._text()
            # of an escape, or a character, that has only begun, nothing is taken yet
            is_begun = self._is_open and (was_open or bool(self._waiting))
            self.is_told = num_taken > 0 or is_begun
            return text
        self.is_told = True
        self._ready += self._parts.push(self._waiting)
        self._waiting = ""
        return ""

    @property
    def _is_open(self) -> bool:
        return self.is_text is True and not self._has_ended

    def parts(self) -> list[Part]:
        """The parts of calls that have come since this was asked last, as CallParts has them."""
        ready, self._ready = self._ready, []
        return ready

    def _decide(self) -> None:
        for pattern, is_text in ((_HEAD, True), (_CALLS, False)):
            head = pattern.match(self._waiting)
            if head is not None:
                self.is_text = is_text
                self._waiting = self._waiting[head.end() :]

    def _text(self) -> tuple[str, int]:
        """The text, and of how many characters of JSON it was made."""
        found, num_taken = [], 0
        while self._waiting and not self._has_ended:
            plain = _PLAIN.match(self._waiting)
            if plain:
                taken, text = plain.end(), plain[0]
            elif self._waiting[0] == '"':
                self._has_ended = True
                break
            else:
                taken, text = json_escape.read(self._waiting)
                if not taken:
                    break
            found.append(text)
            self._waiting = self._waiting[taken:]
            num_taken += taken
        return "".join(found), num_taken


def calls(
    raw: str, toolset: Toolset, told: Sequence[Call] = ()
) -> tuple[list[dict[str, str]], str | None]:
    """The calls in a whole answer, none if it is text; and what is not as it was asked for.

    Args:
        told: those that were told before, which stay as they were.

    Returns:
        Objects with `id`, `name` and `arguments`, a JSON object as text.
    """
    problem = answers.problem(raw, _WHOLE)
    if problem is not None:
        return [], problem
    found: dict[str, Any] = json.loads(raw)
    if "content" in found and not toolset.must_call:
        is_text = isinstance(found["content"], str) and len(found) == 1
        return [], None if is_text else "`$.content`: it is not a text alone"
    made = found.get("tool_calls")
    if not isinstance(made, list) or not made or len(found) > 1:
        return [], "the whole: it has no `tool_calls`"
    for index, call in enumerate(made):
        problem = _problem(call, toolset)
        if problem is not None:
            return [], f"`$.tool_calls[{index}]`: {problem}"
    return [
        *map(dataclasses.asdict, told),
        *(
            {
                "id": new_id(),
                "name": call["name"],
                "arguments": documents.write(call["arguments"]),
            }
            for call in made[len(told) :]
        ),
    ], None


def _problem(call: Any, toolset: Toolset) -> str | None:
    if not isinstance(call, dict) or call.keys() != {"name", "arguments"}:
        return "it has not `name` and `arguments`"
    document = toolset.documents.get(call["name"]) if isinstance(call["name"], str) else None
    if document is None:
        return "it calls no function that was offered"
    if not isinstance(call["arguments"], dict):
        return "its `arguments` are no object"
    return document.problem(call["arguments"])

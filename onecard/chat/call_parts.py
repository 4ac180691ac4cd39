"""Calls of tools in an answer's JSON: their names, and their arguments in parts as they come."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from onecard.chat import json_escape

Part = dict[str, Any]
_ID_LETTERS = string.ascii_letters + string.digits
_BEGIN = re.compile(
    r'\s*,?\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)', re.DOTALL
)
_END = re.compile(r"\s*\}")
_PLAIN = re.compile(r'[^"\\]+')
_OUTSIDE = re.compile(r'\s+|[{\[]|[}\]]|[,:]|"|[^\s{}\[\],:"]+')
_SPACED = {",": ", ", ":": ": "}  # as `onecard.documents.write` has them


def new_id() -> str:
    """The id of a call, in Mistral's form."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(9))


@dataclass
class Call:
    """A call as far as it was told. `arguments`: JSON as `onecard.documents.write` spaces it."""

    id: str
    name: str
    arguments: str = ""


class CallParts:
    """Reads what comes behind `"tool_calls": [`.

    What is not in the order `name`, `arguments`, and a name that was not offered, end the telling:
    the whole answer will be judged.

    Attributes:
        calls: those that have begun, in order.
    """

    def __init__(self, names: Container[str]) -> None:
        self.calls: list[Call] = []
        self._names = names
        self._arguments: _Arguments | None = None
        self._waiting = ""
        self._has_ended = False

    def push(self, piece: str) -> list[Part]:
        """Parts with `index` and `arguments`; the first one of a call has its `id` and `name`."""
        self._waiting += piece
        parts: list[Part] = []
        while not self._has_ended:
            if self._arguments is None:
                if not self._begin():
                    break
                call = self.calls[-1]
                head = {"id": call.id, "name": call.name}
                parts.append({"index": len(self.calls) - 1, **head, "arguments": ""})
            elif not self._arguments.is_whole:
                text = self._arguments.push(self._waiting)
                self._waiting = self._arguments.left
                self.calls[-1].arguments += text
                if text:
                    parts.append({"index": len(self.calls) - 1, "arguments": text})
                if not self._arguments.is_whole:
                    break
            else:
                end = _END.match(self._waiting)
                if end is None:
                    break
                self._waiting = self._waiting[end.end() :]
                self._arguments = None
        return parts

    def _begin(self) -> bool:
        found = _BEGIN.match(self._waiting)
        if found is None:
            return False
        try:
            name = json.loads(found[1])
        except ValueError:
            name = None
        if name not in self._names:
            self._has_ended = True
            return False
        self._waiting = self._waiting[found.end() :]
        self._arguments = _Arguments()
        self.calls.append(Call(new_id(), name))
        return True


def joined(parts: Sequence[Part]) -> list[Part]:
    """The same with one part for each call."""
    found: list[Part] = []
    for part in parts:
        if found and found[-1]["index"] == part["index"]:
            found[-1] = {**found[-1], "arguments": found[-1]["arguments"] + part["arguments"]}
        else:
            found.append(part)
    return found


class _Arguments:
    """Writes one JSON object anew while it comes. `left`: of what was pushed."""

    def __init__(self) -> None:
        self.is_whole = False
        self.left = ""
        self._depth = 0
        self._is_text = False

    def push(self, text: str) -> str:
        found = []
        at = 0
        while at < len(text) and not self.is_whole:
            taken, told = self._inside(text, at) if self._is_text else self._outside(text, at)
            if not taken:
                break
            at += taken
            found.append(told)
        self.left = text[at:]
        return "".join(found)

    def _inside(self, text: str, at: int) -> tuple[int, str]:
        plain = _PLAIN.match(text, at)
        if plain:
            return len(plain[0]), plain[0]
        if text[at] == '"':
            self._is_text = False
            return 1, '"'
        taken, character = json_escape.read(text[at : at + json_escape.LONGEST])
        return taken, json.dumps(character, ensure_ascii=False)[1:-1]

    def _outside(self, text: str, at: int) -> tuple[int, str]:
        token = _OUTSIDE.match(text, at)
        assert token is not None  # it has a place for every character
        told = token[0]
        if told in "{[":
            self._depth += 1
        elif told in "}]":
            self._depth -= 1
            self.is_whole = not self._depth
        elif told == '"':
            self._is_text = True
        return len(told), "" if told.isspace() else _SPACED.get(told, told)

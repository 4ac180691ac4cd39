"""An answer under the guide of tools: the text in it as it comes, or the calls at its end."""

from __future__ import annotations

import json
import re
import secrets
import string
from typing import Any

from onecard import documents
from onecard.chat.tools import Toolset
from onecard.json_schema import answers
from onecard.json_schema.document import Document

_ID_LETTERS = string.ascii_letters + string.digits
_HEAD = re.compile(r'\s*\{\s*"content"\s*:\s*"')
_PLAIN = re.compile(r'[^"\\]+')
_UNIT = re.compile(r"\\u([0-9a-fA-F]{4})")
# A high half may be the beginning of a character that takes two.
_HALF = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_LONGEST_ESCAPE = 12  # `\ud83d\ude00`
_WHOLE = Document({"type": "object"})


class ToolAnswer:
    """Reads one answer; JSON goes in by pieces, and what a caller is told comes out.

    Attributes:
        raw: what went in.
    """

    def __init__(self) -> None:
        self.raw = ""
        self._waiting = ""
        self._is_text = self._has_ended = False

    def push(self, piece: str) -> str:
        """The text in `content` that is complete with `piece`; empty where there are calls."""
        self.raw += piece
        self._waiting += piece
        if not self._is_text:
            head = _HEAD.match(self._waiting)
            if head is None:
                return ""
            self._is_text = True
            self._waiting = self._waiting[head.end() :]
        return self._text()

    def _text(self) -> str:
        found = []
        while self._waiting and not self._has_ended:
            plain = _PLAIN.match(self._waiting)
            if plain:
                taken, text = plain.end(), plain[0]
            elif self._waiting[0] == '"':
                self._has_ended = True
                break
            else:
                taken, text = _escape(self._waiting)
                if not taken:
                    break
            found.append(text)
            self._waiting = self._waiting[taken:]
        return "".join(found)


def calls(raw: str, toolset: Toolset) -> tuple[list[dict[str, str]], str | None]:
    """The calls in a whole answer, none if it is text; and what is not as it was asked for.

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
        {
            "id": "".join(secrets.choice(_ID_LETTERS) for _ in range(9)),
            "name": call["name"],
            "arguments": documents.write(call["arguments"]),
        }
        for call in made
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


def _escape(text: str) -> tuple[int, str]:
    """The length of the escape that `text` begins with, and its character; 0 until it is whole."""
    length = 2
    unit = _UNIT.match(text)
    if text[1:2] == "u":
        if unit is None:
            return 0, ""
        length = 6
        if _HALF.match(text):
            follows = text[6:_LONGEST_ESCAPE]
            if len(follows) < 6 and r"\u".startswith(follows[:2]):
                return 0, ""
            pair = _UNIT.match(follows)
            if pair and 0xDC00 <= int(pair[1], 16) < 0xE000:
                length = _LONGEST_ESCAPE
    elif len(text) < 2:
        return 0, ""
    try:
        return length, documents.valid(json.loads(f'"{text[:length]}"'))
    except ValueError:  # no escape of JSON's; the end of the answer says so
        return length, ""

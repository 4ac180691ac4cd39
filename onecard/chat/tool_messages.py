"""Calls of tools in a conversation, and the results that answer them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from onecard import documents
from onecard.errors import InvalidRequest, named, shown
from onecard.llm.tool import ToolCall

MAX_CALLS = 128  # of one message
MAX_ID_LETTERS = 256
_ID = re.compile("[A-Za-z0-9]{9}")
_WANTED = (
    '`{"id": "...", "type": "function", "function": {"name": "...", "arguments": "{}"}}`, as the '
    "answer had it"
)


def calls(index: int, tool_calls: Any) -> dict[str, ToolCall]:
    """The calls of message `index` by the ids that their caller knows.

    Raises:
        InvalidRequest: one is not as an answer has it, or two have one id.
    """
    if not isinstance(tool_calls, list) or len(tool_calls) > MAX_CALLS:
        raise InvalidRequest(
            f"message {index} has `tool_calls` that are {documents.kind(tool_calls)}, must be a "
            f"list of at most {MAX_CALLS}: send each as {_WANTED}"
        )
    read: dict[str, ToolCall] = {}
    for call in tool_calls:
        call_id, made = _call(index, call)
        if call_id in read:
            raise InvalidRequest(
                f"message {index} has two `tool_calls` with the id {named(call_id)}; give each its "
                "own"
            )
        read[call_id] = made
    return read


def answered(index: int, turn: Mapping[str, Any], known: Mapping[str, ToolCall]) -> ToolCall:
    """The call whose result message `index` tells.

    Raises:
        InvalidRequest: no message before it made that call.
    """
    call_id = turn.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in known:
        told = "none" if call_id is None else shown(call_id)
        raise InvalidRequest(
            f"message {index} has the role `tool` and the `tool_call_id` {told}, which is no id "
            "among the `tool_calls` of an assistant's message before it; send that message too"
        )
    return known[call_id]


def _call(index: int, call: Any) -> tuple[str, ToolCall]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or call.get("type", "function") != "function":
        raise _wrong(index, call)
    call_id, name, arguments = call.get("id"), function.get("name"), function.get("arguments")
    is_id = isinstance(call_id, str) and 0 < len(call_id) <= MAX_ID_LETTERS
    if not is_id or not isinstance(name, str) or not name:
        raise _wrong(index, call)
    if isinstance(arguments, str):
        place = f"message {index}: `arguments` of `tool_calls`"
        arguments = documents.read(place, arguments or "{}", "a JSON object, as text")
    if not isinstance(arguments, dict):
        raise _wrong(index, call)
    return call_id, ToolCall(_short(call_id), name, documents.write(arguments))


def _wrong(index: int, call: Any) -> InvalidRequest:
    return InvalidRequest(f"message {index} has {shown(call)} in `tool_calls`, must have {_WANTED}")


def _short(call_id: str) -> str:
    """An id of the form that every template takes; the same for the same id."""
    if _ID.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]

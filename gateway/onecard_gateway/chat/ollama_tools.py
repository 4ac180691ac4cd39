"""Calls of tools in Ollama's conversations, which have no ids, as those of a server, which do."""

from __future__ import annotations

from typing import Any

from onecard_gateway.chat.body import wrong


def messages(conversation: Any) -> Any:
    """The same messages, each call with an id and each result with that of its call.

    A result belongs to the first call before it that has none yet, and whose function it names if
    it names one (`tool_name`). What is no conversation stays as it is, for others to refuse.

    Raises:
        Refusal: a result belongs to no call.
    """
    if not isinstance(conversation, list) or not all(isinstance(one, dict) for one in conversation):
        return conversation
    open_calls: list[tuple[str, str]] = []  # ids and names, in order
    told = []
    for index, message in enumerate(conversation):
        calls = message.get("tool_calls")
        if message.get("role") == "tool":
            message = _result(message, open_calls)
        elif isinstance(calls, list) and calls:
            made = [_call(call, f"call{index}x{number}") for number, call in enumerate(calls)]
            open_calls += [(call["id"], call["function"].get("name")) for call in made]
            message = {**message, "tool_calls": made}
        told.append(message)
    return told


def _call(call: Any, call_id: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise wrong("tool_calls", call, "objects with a `function`")
    known = {name: function[name] for name in ("name", "arguments") if name in function}
    return {"id": call_id, "type": "function", "function": known}


def _result(message: dict[str, Any], open_calls: list[tuple[str, str]]) -> dict[str, Any]:
    name = message.get("tool_name") or message.get("name")
    for place, (call_id, called) in enumerate(open_calls):
        if not name or name == called:
            del open_calls[place]
            content = message.get("content")
            return {"role": "tool", "tool_call_id": call_id, "content": content}
    raise wrong("tool_name", name, "the function of an earlier message's `tool_calls`")

"""Functions in OpenAI's Responses, where calls and results are items, as a chat's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onecard_client import ToolCall
from onecard_gateway.chat.body import wrong

CALL, RESULT = "function_call", "function_call_output"
Document = dict[str, Any]


def called(item: Document) -> Document:
    """A call that an earlier response made, as a chat has it among `tool_calls`."""
    function = {name: item[name] for name in ("name", "arguments") if name in item}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def result(item: Document) -> Document:
    """The result of a call as a message. Raises Refusal for one that is no text."""
    output = item.get("output")
    if isinstance(output, list):
        output = [{"type": "text", "text": _text(part)} for part in output]
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}


def _text(part: Any) -> Any:
    if not isinstance(part, dict) or part.get("type") not in ("input_text", "output_text"):
        raise wrong("input.output", part, "a text: the model reads text alone")
    return part.get("text")


def tools(body: Document) -> Document:
    """Takes `tools` and `tool_choice` out of a body, in the form of a chat's.

    Raises Refusal for tools that are no functions.
    """
    found, choice = body.pop("tools", None), body.pop("tool_choice", None)
    if not isinstance(found, list | None):
        raise wrong("tools", found, "a list of functions")
    if isinstance(choice, dict) and choice.get("type") == "function":
        choice = _function(choice)
    told = [_function(tool) for tool in found or []]
    return {"tools": told or None, "tool_choice": choice}


def _function(tool: Any) -> Document:
    """Members of a function lie one level higher than in a chat."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise wrong("tools", tool, "a function: no other kind of tool is called here")
    function = {name: value for name, value in tool.items() if name != "type"}
    return {"type": "function", "function": function}


def items(calls: Sequence[ToolCall], status: str = "completed") -> list[Document]:
    """The calls of an answer as items of a response; begun ones have no arguments yet."""
    return [
        {
            "id": f"fc_{call.id}",
            "type": CALL,
            "status": status,
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments if status == "completed" else "",
        }
        for call in calls
    ]

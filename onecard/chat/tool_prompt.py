"""The conversation that the model reads where tools are offered, were called or have answered.

Templates that have places for tools get them there. For the others they are written as text: the
tools into the system's message, a call as the JSON that an answer has, results as a user's message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from onecard import documents
from onecard.chat.tools import Toolset
from onecard.llm.message import Message
from onecard.llm.tool import Tool, ToolCall

_CALLS = '{"tool_calls": [{"name": "NAME", "arguments": {...}}]}'
_TEXT = '{"content": "TEXT"}'


def messages(
    conversation: Sequence[Message], toolset: Toolset | None, takes_tools: bool
) -> list[Message]:
    """The messages to render.

    Args:
        toolset: the tools offered; None for none.
        takes_tools: the template has places for tools.
    """
    found = list(conversation) if takes_tools else _plain(conversation)
    if toolset is None:
        return found
    told = _instructions(toolset)
    if not takes_tools:
        told = f"{_listed(toolset.tools)}\n\n{told}"
    if found[0].role == "system":
        return [Message("system", f"{found[0].content}\n\n{told}"), *found[1:]]
    return [Message("system", told), *found]


def _instructions(toolset: Toolset) -> str:
    """What the grammar allows, in words."""
    if toolset.must_call:
        return f"Call a function. Answer with one JSON object and nothing else: {_CALLS}"
    return (
        f"Answer with one JSON object and nothing else. To call functions: {_CALLS} "
        f"To answer the user: {_TEXT}"
    )


def _listed(tools: Iterable[Tool]) -> str:
    lines = (documents.write(tool.document["function"]) for tool in tools)
    return "\n".join(["You can call these functions:", *lines])


def _plain(conversation: Iterable[Message]) -> list[Message]:
    """Calls and their results as text; what users say one after the other is one message then."""
    found: list[Message] = []
    was_result = False
    for message in conversation:
        is_result = message.answers is not None
        said = _said(message)
        if (is_result or was_result) and found and said.role == found[-1].role == "user":
            found[-1] = Message("user", f"{found[-1].content}\n\n{said.content}")
        else:
            found.append(said)
        was_result = is_result
    return found


def _said(message: Message) -> Message:
    if message.answers is not None:
        name = message.answers.name
        return Message("user", f"The function {name} has answered:\n{message.content}")
    if message.tool_calls:
        called = _called(message.tool_calls)
        return Message("assistant", f"{message.content}\n{called}".strip())
    return message


def _called(calls: Iterable[ToolCall]) -> str:
    made = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]
    return documents.write({"tool_calls": made})

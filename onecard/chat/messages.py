"""The conversation that a caller sends, as OpenAI's clients write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecard import documents
from onecard.chat import tool_messages
from onecard.errors import MAX_SHOWN_LETTERS, InvalidRequest, clipped, named, shown
from onecard.llm.message import Message
from onecard.llm.tool import ToolCall

# What each role is to the templates, or why it is refused.
ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
NO_ROLES: Mapping[str, str] = {
    "function": "results of functions are told as the role `tool`, with a `tool_call_id`",
}
_TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_KEYS = {
    "assistant": ("role", "content", "name", "refusal", "tool_calls"),
    "tool": ("role", "content", "name", "tool_call_id"),
}
_OTHER_KEYS = ("role", "content", "name", "refusal")
_WANTED = 'a list of messages, as in `[{"role": "user", "content": "Hello"}]`'


def read(text: str, max_letters: int = documents.MAX_LETTERS) -> list[Message]:
    """The conversation that the JSON `text` holds: a list of messages, or one of them.

    Raises:
        InvalidRequest: it holds anything but roles and what they said, or is longer than
            `max_letters`.
    """
    documents.verify_size("MESSAGES", text, max_letters)
    try:
        found = documents.read("MESSAGES", text, _WANTED, max_letters=max_letters)
    except InvalidRequest:
        if text.strip()[:1] not in ("", *'[{"'):
            raise InvalidRequest(f"MESSAGES is {named(text)}, not JSON; send {_WANTED}") from None
        raise
    if isinstance(found, dict):
        found = _messages(found)
    if not isinstance(found, list) or not found:
        what = "an empty list" if found == [] else documents.kind(found)
        raise InvalidRequest(f"MESSAGES is {what}; send {_WANTED}")
    calls: dict[str, ToolCall] = {}  # by the ids that their caller gave them
    return [_message(index, turn, calls) for index, turn in enumerate(found)]


def _messages(document: dict[str, Any]) -> Any:
    """The list of messages, also from one message or from an object that holds only `messages`."""
    if "messages" not in document:
        return [document]
    others = [name for name in document if name != "messages"]
    if others:
        raise InvalidRequest(
            f"MESSAGES is a whole request, with {named(others[0])} beside `messages`; send the "
            "list alone as MESSAGES, and the rest as the JSON object OPTIONS"
        )
    return document["messages"]


def _message(index: int, turn: Any, calls: dict[str, ToolCall]) -> Message:
    """One turn; `calls` are those of the turns before it, and get those of this one."""
    if not isinstance(turn, dict) or "role" not in turn:
        what = f"is {documents.kind(turn)}"
        if isinstance(turn, dict):
            what = f"has {named(', '.join(list(turn)[:5])) if turn else 'nothing'}"
        raise InvalidRequest(f"message {index} {what}, must have `role` and `content`")
    known = _keys(turn["role"])
    for key, value in turn.items():
        # Clients send back what they got, with the members of a message that are empty in it.
        if key not in known and value not in (None, False, "") and value != [] and value != {}:
            raise InvalidRequest(
                f"message {index} has {named(key)}, which is not taken here; leave it out: a "
                "message has `role`, `content` and perhaps `name`"
            )
    name = turn.get("name")
    if name is not None and not isinstance(name, str):
        raise InvalidRequest(f"message {index} has the `name` {shown(name)}, must be a text")
    role = _role(index, turn["role"])
    if role == "tool":
        answered = tool_messages.answered(index, turn, calls)
        return Message(role, _content(index, turn), answers=answered)
    if role != "assistant" or not turn.get("tool_calls"):
        return Message(role, _content(index, turn))
    found = tool_messages.calls(index, turn["tool_calls"])
    calls |= found
    has_text = turn.get("content") or turn.get("refusal")
    return Message(role, _content(index, turn) if has_text else "", tuple(found.values()))


def _keys(role: Any) -> tuple[str, ...]:
    return _KEYS.get(role, _OTHER_KEYS) if isinstance(role, str) else _OTHER_KEYS


def _role(index: int, role: Any) -> str:
    if isinstance(role, str) and role in ROLES:
        return ROLES[role]
    told = named(role) if isinstance(role, str) else shown(role)
    if isinstance(role, str) and role in NO_ROLES:
        raise InvalidRequest(f"message {index} has the role {told}: {NO_ROLES[role]}")
    raise InvalidRequest(f"message {index} has the role {told}, must be one of {', '.join(ROLES)}")


def _content(index: int, turn: Mapping[str, Any]) -> str:
    """The text; of OpenAI's list of parts, their texts joined. A refusal is what was said."""
    content, refused = turn.get("content"), turn.get("refusal")
    if content is None and isinstance(refused, str):
        content = refused
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [_text(part) for part in parts]
    if any(text is None for text in texts):
        raise InvalidRequest(
            f"message {index} has a `content` that is neither a text nor a list of "
            f'`{{"type": "text", "text": "..."}}` ({_told(content)}); this model takes text alone'
        )
    return "".join(map(str, texts))


def _text(part: Any) -> str | None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return None
    text = part.get(_TEXTS.get(part["type"], ""))
    return text if isinstance(text, str) else None


def _told(content: Any) -> str:
    if isinstance(content, list):
        kinds = [part.get("type") if isinstance(part, dict) else part for part in content]
        return named(", ".join(clipped(str(kind), MAX_SHOWN_LETTERS) for kind in kinds[:4]))
    return documents.kind(content)

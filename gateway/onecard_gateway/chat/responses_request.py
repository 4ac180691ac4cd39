"""Requests of OpenAI's Responses API as a conversation and a server's options."""

from __future__ import annotations

from typing import Any

from onecard_gateway.chat import responses_tools
from onecard_gateway.chat.body import wrong
from onecard_gateway.errors import Refusal

# They refer to what would have been kept from earlier, and nothing is.
_KEPT = ("background", "conversation", "previous_response_id", "prompt")
# They change nothing of an answer that is made at once from all of its input.
_MEANINGLESS = ("max_tool_calls", "prompt_cache_options", "truncation")
_TEXTS = ("input_text", "output_text", "text")
_LOGPROBS = "message.output_text.logprobs"


def messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Takes `instructions` and `input` out of a body, as a chat's messages.

    Raises Refusal for what is neither a text, nor a call of a function or its result.
    """
    instructions, found = body.pop("instructions", None), body.pop("input", None)
    if isinstance(found, str):
        found = [{"role": "user", "content": found}]
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise wrong("input", found, "a text, or a list of messages")
    told = [{"role": "system", "content": instructions}] if instructions else []
    calls: list[dict[str, Any]] = []  # of the message that calls, while more of its calls come
    for item in found:
        if item.get("type") != responses_tools.CALL:
            told.append(_message(item))
            calls = []
            continue
        if not calls:
            told.append({"role": "assistant", "content": None, "tool_calls": calls})
        calls.append(responses_tools.called(item))
    return told


def _message(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind == responses_tools.RESULT:
        return responses_tools.result(item)
    if kind != "message":
        raise wrong("input.type", kind, "`message`, `function_call` or `function_call_output`")
    content = item.get("content")
    if isinstance(content, list):
        content = [_part(part) for part in content]
    return {"role": item.get("role"), "content": content}


def _part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else part
    if kind not in _TEXTS:
        raise wrong("input.content.type", kind, "`input_text`: the model reads text alone")
    return {"type": "text", "text": part.get("text")}


def options(body: dict[str, Any]) -> dict[str, Any]:
    """The server's options from the rest of a body, which it judges by name.

    Raises Refusal for what would need an earlier response, and tools that are no functions.
    """
    for name in _KEPT:
        if body.pop(name, None):
            raise Refusal(
                400,
                f"`{name}` is given, must be left out: no response is kept; send the whole "
                "conversation as `input`",
                name,
            )
    included = body.pop("include", None) or []
    if not isinstance(included, list):
        raise wrong("include", included, "a list")
    found = {
        "max_tokens": body.pop("max_output_tokens", None),
        "logprobs": True if _LOGPROBS in included else None,
        "reasoning_effort": _member(body, "reasoning", "effort"),
        **_text(body),
        **responses_tools.tools(body),
        **{name: value for name, value in body.items() if name not in _MEANINGLESS},
    }
    return {name: value for name, value in found.items() if value is not None}


def _member(body: dict[str, Any], name: str, member: str) -> Any:
    """Takes an object out of a body for one member of it."""
    value = body.pop(name, None) or {}
    if not isinstance(value, dict):
        raise wrong(name, value, "an object")
    return value.get(member)


def _text(body: dict[str, Any]) -> dict[str, Any]:
    """`text`, whose schema lies one level higher than that of a chat completion."""
    verbosity = _member({"text": body.get("text")}, "text", "verbosity")
    form = _member(body, "text", "format")
    if not isinstance(form, dict | None):
        raise wrong("text.format", form, "an object")
    if form is not None and form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        form = {"type": "json_schema", "json_schema": schema}
    return {"response_format": form, "verbosity": verbosity}

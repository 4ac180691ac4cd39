"""Conversations sent to a server under the name of the request that they came with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request

from onecard_client import AsyncChatStream, ChatUsage
from onecard_gateway.chat.body import wrong
from onecard_gateway.errors import Refusal
from onecard_gateway.guards.request_log import facts
from onecard_gateway.servers import servers

# Arguments of the client's method, which are no options of a server's.
_ARGUMENTS = ("self", "messages", "timeout_s", "request_id")


@asynccontextmanager
async def answering(
    request: Request, messages: Any, options: Mapping[str, Any]
) -> AsyncIterator[AsyncChatStream]:
    """An answer as it comes; leaving the context ends the work on it.

    Raises:
        Refusal: `messages` is no list of objects, or an option is none.
        OnecardError: as `onecard_client.AsyncClient.chat` does.
    """
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise wrong("messages", messages, "a list of objects with `role` and `content`")
    for name in _ARGUMENTS:
        if name in options:
            raise Refusal(400, f"option `{name}` is not known; leave it out", name)
    known, found = facts(request), servers(request)
    with found.turn() as client:
        stream = client.chat(
            messages, timeout_s=found.timeout_s, request_id=known.request_id, **options
        )
        async with stream:
            yield stream
            if stream.engine:
                found.engines["chat"] = dict(stream.engine)
            if stream.usage is not None:
                known.prompt_tokens = stream.usage.prompt_tokens
                known.completion_tokens = stream.usage.completion_tokens


def ended(stream: AsyncChatStream) -> tuple[str, ChatUsage]:
    """Why an answer ended, `stop`, `tool_calls` or `length`, and what it cost.

    Raises Refusal for one that is not what was asked for.
    """
    if stream.finish_reason == "invalid":
        raise Refusal(
            500,
            f"the answer is not what the schema asks for: {stream.problem}; ask again, or make "
            "the schema simpler",
        )
    if stream.finish_reason == "cancelled" or stream.usage is None:
        raise Refusal(
            504, "the answer was cut off by the time that it had; give it more, or ask for less"
        )
    return stream.finish_reason or "stop", stream.usage

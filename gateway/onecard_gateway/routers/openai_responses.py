"""OpenAI's Responses, of text and calls of functions: one answer at a time, nothing kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client import AsyncChatStream, ChatUsage, ToolCallDelta
from onecard_gateway.chat import responses_request, responses_tools
from onecard_gateway.chat.answering import answering, ended
from onecard_gateway.chat.body import read_object, take_flag, take_text
from onecard_gateway.chat.responses_calls import CallEvents
from onecard_gateway.guards.access import needs
from onecard_gateway.guards.request_log import facts
from onecard_gateway.keys.key import TEXT
from onecard_gateway.models import CHAT
from onecard_gateway.streams import Events

router = APIRouter(prefix="/v1", tags=["OpenAI"], dependencies=[needs(TEXT)])
Document = dict[str, Any]
Event = tuple[str, Document]
Part = str | ToolCallDelta
# What an event says of the only text of the only message of an answer.
_PLACE = {"output_index": 0, "content_index": 0}


@router.post("/responses")
async def responses(request: Request) -> Response:
    """An answer to `input`, a text or messages, whole or as events (`stream`).

    Nothing is stored: what refers to an earlier response is refused.
    """
    body = await read_object(request)
    asked = _Asked(facts(request).request_id, body)
    is_streamed = take_flag(body, "stream", False)
    body.pop("stream_options", None)  # usage is always told
    messages = responses_request.messages(body)
    options = responses_request.options(body)
    async with AsyncExitStack() as held:
        stream = await held.enter_async_context(answering(request, messages, options))
        parts = stream.parts()
        first = await anext(parts, None)  # an error until here still has a status
        if is_streamed:
            return Events(_events(asked, stream, first, parts), held.pop_all(), is_named=True)
        async for _ in parts:
            pass
    return JSONResponse(asked.ended(stream))


class _Asked:
    """What a response repeats of its request. `body`: the request's, without `model` after this."""

    def __init__(self, request_id: str, body: Document) -> None:
        self.message_id = f"msg_{request_id}"
        self._head: Document = {
            "id": f"resp_{request_id}",
            "object": "response",
            "created_at": int(time.time()),
            "model": take_text(body, "model", CHAT),
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "store": False,
            "temperature": body.get("temperature"),
            "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p"),
            "truncation": "disabled",
        }

    def begun(self) -> Document:
        """The response before there is anything of it."""
        return self._document("in_progress", [], None, None)

    def ended(self, stream: AsyncChatStream) -> Document:
        """The whole response. Raises Refusal as `ended` does."""
        reason, usage = ended(stream)
        status = "incomplete" if reason == "length" else "completed"
        details = {"reason": "max_output_tokens"} if reason == "length" else None
        return self._document(status, self.output(stream, status), details, usage)

    def output(self, stream: AsyncChatStream, status: str) -> list[Document]:
        """The items of the response: the calls of functions, or else the one message."""
        return responses_tools.items(stream.tool_calls) or [self.message(stream, status)]

    def message(self, stream: AsyncChatStream | None, status: str) -> Document:
        """The one message of a response that is text, so far."""
        content = [] if stream is None else [part(stream)]
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _document(
        self,
        status: str,
        output: list[Document],
        details: Document | None,
        usage: ChatUsage | None,
    ) -> Document:
        return {
            **self._head,
            "status": status,
            "error": None,
            "incomplete_details": details,
            "output": output,
            "usage": None if usage is None else _usage(usage),
        }


def part(stream: AsyncChatStream | None) -> Document:
    """The text of an answer so far; without one, the place for it."""
    tokens = [] if stream is None else stream.logprobs
    logprobs = [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": list(token.bytes or ()),
            "top_logprobs": [],
        }
        for token in tokens
    ]
    told = "" if stream is None else stream.text
    return {"type": "output_text", "text": told, "annotations": [], "logprobs": logprobs}


def _usage(usage: ChatUsage) -> Document:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }


async def _events(
    asked: _Asked, stream: AsyncChatStream, first: Part | None, others: AsyncIterator[Part]
) -> AsyncIterator[Document]:
    """The events of a response, numbered."""
    number = 0
    async for kind, event in _told(asked, stream, first, others):
        yield {"type": f"response.{kind}", "sequence_number": number, **event}
        number += 1


async def _told(
    asked: _Asked, stream: AsyncChatStream, first: Part | None, others: AsyncIterator[Part]
) -> AsyncIterator[Event]:
    yield "created", {"response": asked.begun()}
    yield "in_progress", {"response": asked.begun()}
    if isinstance(first, ToolCallDelta) or (first is None and stream.tool_calls):
        told = _called(asked, stream, first, others)
    else:
        told = _said(asked, stream, first, others)
    async for event in told:
        yield event


async def _said(
    asked: _Asked, stream: AsyncChatStream, first: Part | None, others: AsyncIterator[Part]
) -> AsyncIterator[Event]:
    """The text of an answer."""
    place = {**_PLACE, "item_id": asked.message_id}
    yield "output_item.added", {"output_index": 0, "item": asked.message(None, "in_progress")}
    yield "content_part.added", {**place, "part": part(None)}
    if first is not None:
        yield "output_text.delta", {**place, "delta": first, "logprobs": []}
    async for piece in others:
        yield "output_text.delta", {**place, "delta": piece, "logprobs": []}
    response = asked.ended(stream)
    found = part(stream)
    text_done = {"text": found["text"], "logprobs": found["logprobs"]}
    yield "output_text.done", {**place, **text_done}
    yield "content_part.done", {**place, "part": found}
    yield "output_item.done", {"output_index": 0, "item": response["output"][0]}
    yield response["status"], {"response": response}


async def _called(
    asked: _Asked, stream: AsyncChatStream, first: Part | None, others: AsyncIterator[Part]
) -> AsyncIterator[Event]:
    """The calls of functions that an answer is."""
    events = CallEvents()
    for event in _of_part(events, first):
        yield event
    async for found in others:
        for event in _of_part(events, found):
            yield event
    response = asked.ended(stream)
    if not stream.tool_calls:  # they were cut off
        response["output"] = []
    for event in events.rest(stream.tool_calls) if stream.tool_calls else ():
        yield event
    yield response["status"], {"response": response}


def _of_part(events: CallEvents, part: Part | None) -> Iterator[Event]:
    for one in part.tool_calls if isinstance(part, ToolCallDelta) else ():
        yield from events.part(one)

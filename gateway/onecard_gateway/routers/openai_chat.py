"""OpenAI's chat completions and completions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client import AsyncChatStream, ChatUsage, TokenLogprob, ToolCallDelta, ToolCallPart
from onecard_gateway.chat.answering import answering, ended
from onecard_gateway.chat.body import read_object, take_flag, take_text, wrong
from onecard_gateway.errors import Refusal
from onecard_gateway.guards.access import needs
from onecard_gateway.guards.request_log import facts
from onecard_gateway.keys.key import TEXT
from onecard_gateway.models import CHAT
from onecard_gateway.streams import Events

router = APIRouter(prefix="/v1", tags=["OpenAI"], dependencies=[needs(TEXT)])
Document = dict[str, Any]
Part = str | ToolCallDelta
# Of completions alone, with the value that asks for nothing.
_HARMLESS = {"best_of": 1, "echo": False, "suffix": ""}


@dataclass(frozen=True)
class Kind:
    """How answers of an endpoint are told."""

    prefix: str
    object: str
    chunk: str  # the `object` of a piece


CHAT_KIND = Kind("chatcmpl-", "chat.completion", "chat.completion.chunk")
TEXT_KIND = Kind("cmpl-", "text_completion", "text_completion")


@dataclass(frozen=True)
class Asked:
    """A request for an answer.

    Attributes:
        options: the server's; it knows which there are.
    """

    kind: Kind
    answer_id: str
    model: str
    messages: Any
    options: Mapping[str, Any]
    is_streamed: bool
    has_usage: bool
    created_s: int

    def head(self, name: str, engine: Mapping[str, Any]) -> Document:
        """What every document of the answer begins with."""
        return {
            "id": self.answer_id,
            "object": name,
            "created": self.created_s,
            "model": self.model,
            "system_fingerprint": _fingerprint(engine),
        }


def _fingerprint(engine: Mapping[str, Any]) -> str | None:
    """Which engine answered, as far as it is known."""
    told = [str(engine[name]) for name in ("backend", "model") if engine.get(name)]
    return "/".join(told) or None


@router.post("/chat/completions")
async def chat_completions(request: Request) -> Response:
    """An answer to a conversation, whole or as it comes (`stream`).

    Options are OpenAI's; the server refuses by name what it cannot follow, such as `n=2`.
    """
    body = await read_object(request)
    messages = body.pop("messages", None)
    return await _answer(request, _asked(request, CHAT_KIND, body, messages))


@router.post("/completions")
async def completions(request: Request) -> Response:
    """An answer to one text, which is asked as a user's message."""
    body = await read_object(request)
    prompt = body.pop("prompt", None)
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise wrong("prompt", prompt, "one text")
    if body.pop("logprobs", None) not in (None, 0, False):
        raise Refusal(
            400,
            "`logprobs` is given, must be left out here; /v1/chat/completions has them",
            "logprobs",
        )
    for name, value in _HARMLESS.items():
        if body.get(name) in (None, value):
            body.pop(name, None)
    messages = [{"role": "user", "content": prompt}]
    return await _answer(request, _asked(request, TEXT_KIND, body, messages))


def _asked(request: Request, kind: Kind, body: Document, messages: Any) -> Asked:
    """Raises Refusal for members of other types."""
    stream_options = body.pop("stream_options", None) or {}
    if not isinstance(stream_options, dict):
        raise wrong("stream_options", stream_options, "an object")
    return Asked(
        kind=kind,
        answer_id=f"{kind.prefix}{facts(request).request_id}",
        model=take_text(body, "model", CHAT),
        messages=messages,
        is_streamed=take_flag(body, "stream", False),
        has_usage=take_flag(stream_options, "include_usage", False),
        options=body,
        created_s=int(time.time()),
    )


async def _answer(request: Request, asked: Asked) -> Response:
    async with AsyncExitStack() as held:
        answer = answering(request, asked.messages, asked.options)
        stream = await held.enter_async_context(answer)
        parts = stream.parts()
        # An error until here still has a status.
        first = await anext(parts, None)
        if asked.is_streamed:
            return Events(_Chunks(asked, stream).documents(first, parts), held.pop_all())
        async for _ in parts:
            pass
    return JSONResponse(_whole(asked, stream))


def _whole(asked: Asked, stream: AsyncChatStream) -> Document:
    reason, usage = ended(stream)
    choice: Document = {"index": 0, "logprobs": _logprobs(stream.logprobs)}
    if asked.kind is CHAT_KIND:
        choice["message"] = {"role": "assistant", "content": stream.text, "refusal": None}
        if stream.tool_calls:
            calls = [call.to_dict() for call in stream.tool_calls]
            choice["message"] |= {"content": stream.text or None, "tool_calls": calls}
    else:
        choice["text"] = stream.text
    return {
        **asked.head(asked.kind.object, stream.engine),
        "choices": [{**choice, "finish_reason": reason}],
        "usage": _usage(usage),
    }


class _Chunks:
    """The pieces of an answer as documents, why it ended, and what it cost if that was asked."""

    def __init__(self, asked: Asked, stream: AsyncChatStream) -> None:
        self._asked = asked
        self._stream = stream
        self._num_logprobs = self._num_calls = 0  # told so far
        self._head = asked.head(asked.kind.chunk, {})
        if asked.has_usage:
            self._head["usage"] = None

    async def documents(
        self, first: Part | None, others: AsyncIterator[Part]
    ) -> AsyncIterator[Document]:
        """Raises Refusal as `ended` does."""
        if self._asked.kind is CHAT_KIND:
            yield self._document({"delta": {"role": "assistant", "content": ""}})
        if first is not None:
            yield self._part(first)
        async for part in others:
            yield self._part(part)
        reason, usage = ended(self._stream)
        for index, call in enumerate(self._stream.tool_calls):
            if index >= self._num_calls:  # of a server that tells them at the end alone
                delta = {"tool_calls": [{"index": index, **call.to_dict()}]}
                yield self._document({"delta": delta})
        yield self._piece({}, reason)
        if self._asked.has_usage:
            yield {**self._head, "choices": [], "usage": _usage(usage)}

    def _part(self, part: Part) -> Document:
        if isinstance(part, str):
            return self._piece({"content": part})
        self._num_calls = max([self._num_calls, *(one.index + 1 for one in part.tool_calls)])
        calls = [_call_part(one) for one in part.tool_calls]
        return self._piece({"tool_calls": calls} if calls else {})

    def _piece(self, delta: Document, reason: str | None = None) -> Document:
        if self._asked.kind is TEXT_KIND:
            return self._document({"text": delta.get("content", "")}, reason)
        new = self._stream.logprobs[self._num_logprobs :]
        self._num_logprobs += len(new)
        return self._document({"delta": delta, "logprobs": _logprobs(new)}, reason)

    def _document(self, told: Document, reason: str | None = None) -> Document:
        choice = {"index": 0, "logprobs": None, **told, "finish_reason": reason}
        return {**self._head, "choices": [choice]}


def _call_part(part: ToolCallPart) -> Document:
    if part.id is None:
        return {"index": part.index, "function": {"arguments": part.arguments}}
    function = {"name": part.name, "arguments": part.arguments}
    return {"index": part.index, "id": part.id, "type": "function", "function": function}


def _logprobs(tokens: list[TokenLogprob]) -> Document | None:
    if not tokens:
        return None
    content = [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": None if token.bytes is None else list(token.bytes),
            "top_logprobs": [],
        }
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def _usage(usage: ChatUsage) -> Document:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }

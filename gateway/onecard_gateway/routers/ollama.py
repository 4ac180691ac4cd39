"""Ollama's API, for clients that change one address."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client import AsyncChatStream, OnecardError, ToolCall, ToolCallDelta
from onecard_gateway import ignored
from onecard_gateway.chat import ollama_request
from onecard_gateway.chat.answering import answering, ended
from onecard_gateway.chat.body import read_object
from onecard_gateway.chat.ollama_request import Asked
from onecard_gateway.errors import Refusal, refusal
from onecard_gateway.guards.access import needs
from onecard_gateway.keys.key import TEXT
from onecard_gateway.models import CHAT
from onecard_gateway.servers import servers
from onecard_gateway.streams import Stream, one_line

router = APIRouter(prefix="/api", tags=["Ollama"], dependencies=[needs(TEXT)])
# Of Ollama's API, as far as it is served here: schemas as `format`, capabilities in /api/show.
API_VERSION = "0.6.4"
NAME = f"{CHAT}:latest"
_STARTED = datetime.now(timezone.utc).isoformat()
Document = dict[str, Any]
Part = str | ToolCallDelta


@router.get("/version")
async def version() -> Document:
    """The version of Ollama's API that is served."""
    return {"version": API_VERSION}


@router.get("/tags")
async def tags() -> Document:
    """The one model; every other name means it as well."""
    return {"models": [_model()]}


@router.get("/ps")
async def ps(request: Request) -> Document:
    """The same model, which is always loaded."""
    return {"models": [{**_model(), "size_vram": 0, "context_length": await _context(request)}]}


@router.post("/show")
async def show(request: Request) -> Document:
    """The context that the model has."""
    context = await _context(request)
    return {
        "modelfile": "",
        "template": "",
        "parameters": f"num_ctx {context}",
        "details": _details(),
        "model_info": {
            "general.architecture": "onecard",
            "onecard.context_length": context,
        },
        "capabilities": ["completion", "tools"],
    }


@router.post("/chat")
async def chat(request: Request) -> Response:
    """An answer to a conversation, as lines of JSON or whole (`stream`)."""
    asked = ollama_request.chat(await read_object(request))
    return await _answer(request, asked, _Chat(asked))


@router.post("/generate")
async def generate(request: Request) -> Response:
    """An answer to a prompt, as lines of JSON or whole (`stream`)."""
    asked = ollama_request.generate(await read_object(request))
    return await _answer(request, asked, _Generate(asked))


def _model() -> Document:
    return {
        "name": NAME,
        "model": NAME,
        "modified_at": _STARTED,
        "size": 0,  # a server does not tell
        "digest": "",
        "details": _details(),
    }


def _details() -> Document:
    return {
        "parent_model": "",
        "format": "",
        "family": "onecard",
        "families": ["onecard"],
        "parameter_size": "",
        "quantization_level": "",
    }


async def _context(request: Request) -> int:
    with servers(request).turn() as client:
        return (await client.limits()).context_tokens


class _Chat:
    """Documents of /api/chat."""

    def __init__(self, asked: Asked) -> None:
        self._model = asked.model
        self._began_s = self._first_s = time.monotonic()

    def told(self, text: str, calls: Sequence[ToolCall] = ()) -> Document:
        """What a document has of the answer's text, and of its calls of tools."""
        message: Document = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        return {"message": message}

    def piece(self, text: str, calls: Sequence[ToolCall] = ()) -> Document:
        return {**self._head(), **self.told(text, calls), "done": False}

    def last(self, text: str, reason: str, calls: Sequence[ToolCall] = (), **cost: int) -> Document:
        told = self.told(text, calls)
        return {**self._head(), **told, "done": True, "done_reason": reason, **cost}

    def begun(self) -> None:
        """The first piece has come."""
        self._first_s = time.monotonic()

    def end(self, stream: AsyncChatStream, text: str, calls: Sequence[ToolCall] = ()) -> Document:
        """The last document, with what the answer cost. Raises Refusal as `ended` does."""
        reason, usage = ended(stream)
        now_s = time.monotonic()
        return self.last(
            text,
            "stop" if reason == "tool_calls" else reason,
            calls,
            total_duration=_ns(now_s - self._began_s),
            load_duration=0,
            prompt_eval_count=usage.prompt_tokens,
            prompt_eval_duration=_ns(self._first_s - self._began_s),
            eval_count=usage.completion_tokens,
            eval_duration=_ns(now_s - self._first_s),
        )

    def _head(self) -> Document:
        return {"model": self._model, "created_at": datetime.now(timezone.utc).isoformat()}


class _Generate(_Chat):
    """Documents of /api/generate."""

    def told(self, text: str, calls: Sequence[ToolCall] = ()) -> Document:
        return {"response": text}


def _call(call: ToolCall) -> Document:
    """A call as Ollama tells it: the arguments are an object."""
    return {"function": {"name": call.name, "arguments": json.loads(call.arguments)}}


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


async def _answer(request: Request, asked: Asked, documents: _Chat) -> Response:
    headers = ignored.headers(asked.ignored)
    if not asked.has_turn:
        reason = "load" if asked.is_kept else "unload"  # as Ollama says it; nothing is unloaded
        return JSONResponse(documents.last("", reason), headers=headers)
    await _verify_context(request, asked.context_tokens)
    async with AsyncExitStack() as held:
        answer = answering(request, asked.messages, asked.options)
        stream = await held.enter_async_context(answer)
        parts = stream.parts()
        first = await anext(parts, None)  # an error until here still has a status
        documents.begun()
        if asked.is_streamed:
            lines = _lines(documents, stream, first, parts)
            return Stream(lines, held.pop_all(), "application/x-ndjson", headers)
        async for _ in parts:
            pass
    whole = documents.end(stream, stream.text, stream.tool_calls)
    return JSONResponse(whole, headers=headers)


async def _verify_context(request: Request, num_ctx: int | None) -> None:
    cap = await _context(request) if num_ctx is not None else 0
    if num_ctx is not None and num_ctx > cap:
        raise Refusal(
            400,
            f"`num_ctx` is {num_ctx}, must be at most {cap}, the context that the server's plan "
            "gives the model; ask for that, or serve a plan with more",
            "num_ctx",
        )


async def _lines(
    documents: _Chat, stream: AsyncChatStream, first: Part | None, others: AsyncIterator[Part]
) -> AsyncIterator[str]:
    """A line of JSON for each piece; an error is the last one.

    Calls come whole, which is how Ollama tells them: their arguments are objects.
    """
    try:
        if isinstance(first, str):
            yield _line(documents.piece(first))
        async for part in others:
            if isinstance(part, str):
                yield _line(documents.piece(part))
        last = documents.end(stream, "")
        if stream.tool_calls:
            yield _line(documents.piece("", stream.tool_calls))
        yield _line(last)
    except (OnecardError, Refusal) as error:
        found = error if isinstance(error, Refusal) else refusal(error)
        yield _line({"error": found.message})


def _line(document: Mapping[str, Any]) -> str:
    return one_line(document) + "\n"

"""Answers that are told piece by piece, and close what they were made of when they end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from onecard_client import OnecardError
from onecard_gateway.errors import Refusal, refusal

DONE = "data: [DONE]\n\n"
# JSON may have them as they are, and many readers end a line at them, Ollama's client for one.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # proxies pass it on at once


def one_line(document: Mapping[str, Any]) -> str:
    """A document as JSON that nobody takes for two lines."""
    return json.dumps(document, ensure_ascii=False).translate(_LINE_ENDS)


class Stream(StreamingResponse):
    """Pieces as they come. `held` is closed after the last one, or when the caller has gone."""

    def __init__(
        self,
        pieces: AsyncIterator[str],
        held: AsyncExitStack,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers={**_HEADERS, **(headers or {})})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


class Events(Stream):
    """Server-sent events; an error is one of them.

    Args:
        is_named: events have their `type` as a name and just end; else they end with `[DONE]`.
    """

    def __init__(
        self,
        documents: AsyncIterator[Mapping[str, Any]],
        held: AsyncExitStack,
        headers: Mapping[str, str] | None = None,
        *,
        is_named: bool = False,
    ) -> None:
        super().__init__(_events(documents, is_named), held, "text/event-stream", headers)


async def _events(
    documents: AsyncIterator[Mapping[str, Any]], is_named: bool
) -> AsyncIterator[str]:
    number = 0
    try:
        async for document in documents:
            yield _event(document, is_named)
            number += 1
    except (OnecardError, Refusal) as error:
        found = (error if isinstance(error, Refusal) else refusal(error)).openai()
        told = {**found["error"], "sequence_number": number} if is_named else found
        yield _event({**told, "type": "error"}, is_named)
    if not is_named:
        yield DONE


def _event(document: Mapping[str, Any], is_named: bool) -> str:
    name = f"event: {document['type']}\n" if is_named else ""
    return f"{name}data: {one_line(document)}\n\n"

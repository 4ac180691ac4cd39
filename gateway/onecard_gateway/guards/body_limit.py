"""Ends requests whose body is larger than the gateway takes."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onecard_gateway.errors import Refusal


class BodyLimit:
    """Answers 413 to a stated length over `max_bytes`, and ends the reading of what has none.

    Raises Refusal from `receive` where more comes than was stated or may come.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdecimal() and int(stated) > self._max_bytes:
            found = self._refusal(f"{stated} bytes")
            response = JSONResponse(found.body(scope["path"]), found.status)
            await response(scope, receive, send)
            return
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._max_bytes:
                raise self._refusal(f"more than {self._max_bytes} bytes")
            return message

        await self._app(scope, counted, send)

    def _refusal(self, size: str) -> Refusal:
        return Refusal(
            413,
            f"the request has {size}, must have at most {self._max_bytes}; compress the "
            "recording (Opus or MP3 lose nothing that matters here), or split it",
        )

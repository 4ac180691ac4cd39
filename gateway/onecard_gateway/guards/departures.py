"""Ends the work on a request as soon as its caller has gone, at whatever stage it is."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Departures:
    """Cancels the task that answers a request whose connection has ended.

    Servers of ASGI tell an application that its caller has gone only when it asks, and one that
    waits for a model does not ask.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = _Caller(receive, send)
        work = asyncio.ensure_future(self._app(scope, caller.receive, caller.send))
        watch = asyncio.ensure_future(caller.leaves())
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            if work.done() or caller.is_answered:
                await work
                return
        finally:
            watch.cancel()
            work.cancel()  # does nothing where it is done
            await asyncio.wait((work,))


class _Caller:
    """A connection that is asked for messages by the application, and afterwards by `leaves`.

    Attributes:
        is_answered: the last of the answer was sent.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._has_sent_all = asyncio.Event()
        self._is_gone = asyncio.Event()
        self.is_answered = False

    async def receive(self) -> Message:
        if self._has_sent_all.is_set():
            await self._is_gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._is_gone.set()
        if not message.get("more_body", False):
            self._has_sent_all.set()
        return message

    async def send(self, message: Message) -> None:
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        self.is_answered = self.is_answered or is_last
        await self._send(message)

    async def leaves(self) -> None:
        """Returns when the connection has ended."""
        await self._has_sent_all.wait()
        while not self._is_gone.is_set():
            if (await self._receive())["type"] == "http.disconnect":
                self._is_gone.set()

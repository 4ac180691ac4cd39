"""Fixtures of the client's tests: the fake server, and both clients behind one face."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The tests are no package, so that their names do not shadow the packages they test.
sys.path.insert(0, str(Path(__file__).parent))

from fake_server import PATIENCE_S, FakeServer, Step

from onecard_client import AsyncClient, Client, Event, Health, Limits, Transcript


class Blocking:
    """`Client`, one call per connection."""

    def __init__(self, url: str, **arguments: Any) -> None:
        self._make = lambda: Client(url, **arguments)

    def transcribe(self, audio: Any, **options: Any) -> Transcript:
        with self._make() as client:
            return client.transcribe(audio, **options)

    def stream(self, audio: Any, seen: list[Event] | None = None, **options: Any) -> list[Event]:
        seen = [] if seen is None else seen
        with self._make() as client:
            for event in client.transcribe_stream(audio, **options):
                seen.append(event)
        return seen

    def first_event(self, audio: Any) -> Event:
        """Closes the stream after its first event."""
        with self._make() as client:
            stream = client.transcribe_stream(audio)
            event = next(stream)
            stream.close()
            return event

    def chat(self, messages: Any, seen: list[str] | None = None, **options: Any) -> Any:
        """The stream at its end, and in `seen` its pieces."""
        with self._make() as client:
            return _exhaust(client.chat(messages, **options), seen)

    def triage(self, emails: Any, seen: list[Any] | None = None, **options: Any) -> Any:
        with self._make() as client:
            return _exhaust(client.triage(emails, **options), seen)

    def first_item(self, method: str, content: Any, ended: threading.Event) -> Any:
        """The stream, left behind after its first item; `ended` comes while the client is open."""
        with self._make() as client:
            with getattr(client, method)(content) as stream:
                next(stream)
            assert ended.wait(PATIENCE_S)
            assert list(stream) == []
            return stream

    def limits(self, **options: Any) -> Limits:
        with self._make() as client:
            return client.limits(**options)

    def health(self, **options: Any) -> Health:
        with self._make() as client:
            return client.health(**options)


def _exhaust(stream: Any, seen: list[Any] | None) -> Any:
    for item in stream:
        if seen is not None:
            seen.append(item)
    return stream


class Asyncio:
    """`AsyncClient`, one event loop per call."""

    def __init__(self, url: str, **arguments: Any) -> None:
        self._make = lambda: AsyncClient(url, **arguments)

    def transcribe(self, audio: Any, **options: Any) -> Transcript:
        async def call() -> Transcript:
            async with self._make() as client:
                return await client.transcribe(audio, **options)

        return asyncio.run(call())

    def stream(self, audio: Any, seen: list[Event] | None = None, **options: Any) -> list[Event]:
        seen = [] if seen is None else seen

        async def call() -> None:
            async with self._make() as client:
                async for event in client.transcribe_stream(audio, **options):
                    seen.append(event)

        asyncio.run(call())
        return seen

    def first_event(self, audio: Any) -> Event:
        """Closes the stream after its first event."""

        async def call() -> Event:
            async with self._make() as client:
                stream = client.transcribe_stream(audio)
                event = await anext(stream)
                await stream.aclose()
                return event

        return asyncio.run(call())

    def chat(self, messages: Any, seen: list[str] | None = None, **options: Any) -> Any:
        """The stream at its end, and in `seen` its pieces."""

        async def call() -> Any:
            async with self._make() as client:
                return await _exhaust_async(client.chat(messages, **options), seen)

        return asyncio.run(call())

    def triage(self, emails: Any, seen: list[Any] | None = None, **options: Any) -> Any:
        async def call() -> Any:
            async with self._make() as client:
                return await _exhaust_async(client.triage(emails, **options), seen)

        return asyncio.run(call())

    def first_item(self, method: str, content: Any, ended: threading.Event) -> Any:
        """The stream, left behind after its first item; `ended` comes while the client is open."""

        async def call() -> Any:
            async with self._make() as client:
                async with getattr(client, method)(content) as stream:
                    await anext(stream)
                assert await asyncio.to_thread(ended.wait, PATIENCE_S)
                assert [item async for item in stream] == []
                return stream

        return asyncio.run(call())

    def limits(self, **options: Any) -> Limits:
        async def call() -> Limits:
            async with self._make() as client:
                return await client.limits(**options)

        return asyncio.run(call())

    def health(self, **options: Any) -> Health:
        async def call() -> Health:
            async with self._make() as client:
                return await client.health(**options)

        return asyncio.run(call())


async def _exhaust_async(stream: Any, seen: list[Any] | None) -> Any:
    async for item in stream:
        if seen is not None:
            seen.append(item)
    return stream


@pytest.fixture(params=[Blocking, Asyncio], ids=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> type[Blocking] | type[Asyncio]:
    """Either client: `connect(url, **arguments).transcribe(...)`."""
    kind: type[Blocking] | type[Asyncio] = request.param
    return kind


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeServer]]:
    """`fake(step, ...)` starts a fake server with that script, at any port or at `port`."""
    servers: list[FakeServer] = []

    def start(*script: Step, port: int = 0, host: str = "127.0.0.1") -> FakeServer:
        servers.append(FakeServer(*script, port=port, host=host))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()

"""Fixtures of the client's tests: the fake server, and both clients behind one face."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The tests are no package, so that their names do not shadow the packages they test.
sys.path.insert(0, str(Path(__file__).parent))

from fake_server import FakeServer, Step

from onecard_client import AsyncClient, Client, Event, Health, Transcript


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

    def health(self, **options: Any) -> Health:
        with self._make() as client:
            return client.health(**options)


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

    def health(self, **options: Any) -> Health:
        async def call() -> Health:
            async with self._make() as client:
                return await client.health(**options)

        return asyncio.run(call())


@pytest.fixture(params=[Blocking, Asyncio], ids=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> type[Blocking] | type[Asyncio]:
    """Either client: `connect(url, **arguments).transcribe(...)`."""
    kind: type[Blocking] | type[Asyncio] = request.param
    return kind


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeServer]]:
    """`fake(step, ...)` starts a fake server with that script."""
    servers: list[FakeServer] = []

    def start(*script: Step) -> FakeServer:
        servers.append(FakeServer(*script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()

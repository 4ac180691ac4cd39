"""A file that grows is sent part by part, at every attempt from the beginning."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any, BinaryIO

import grpc
import pytest
from fake_server import FINISHED, content, events, fails

from onecard_client import AsyncClient, GrowingFile, Transcript

MIB = 2**20
AUDIO = os.urandom(2 * MIB + 5)
LOST = fails(grpc.StatusCode.UNAVAILABLE, "Socket closed")


async def sent(url: str, file: BinaryIO, *sizes: int) -> Transcript:
    """The answer to the file, which is told to have these sizes, one after the other."""
    async with AsyncClient(url) as client:
        growing = GrowingFile(file)
        asking = asyncio.ensure_future(client.transcribe(growing))
        for size in sizes:
            await asyncio.sleep(0.05)
            assert not asking.done()
            file.write(AUDIO[file.tell() : size])
            file.flush()
            growing.grow(size)
        growing.end()
        return await asking


@pytest.mark.parametrize(
    "sizes",
    [(5, MIB, MIB + 1, len(AUDIO)), (MIB,), (MIB, 2 * MIB), (len(AUDIO),), (7,)],
    ids=str,
)
def test_what_comes_is_what_was_written(fake: Any, sizes: tuple[int, ...]) -> None:
    server = fake(events(FINISHED))
    with tempfile.TemporaryFile() as file:
        found = asyncio.run(sent(server.url, file, *sizes))
        assert file.tell() == sizes[-1]  # the writer's place is its own
    assert found.duration_s == 2.0
    assert content(server.requests[0]) == AUDIO[: sizes[-1]]


def test_every_attempt_sends_all_of_it(fake: Any) -> None:
    server = fake(LOST, events(FINISHED))
    with tempfile.TemporaryFile() as file:
        asyncio.run(sent(server.url, file, MIB + 1, len(AUDIO)))
    assert [content(one) for one in server.requests] == [AUDIO, AUDIO]


def test_it_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryFile() as file, GrowingFile(file) as growing:
        assert len(os.listdir("/proc/self/fd")) == before + 2
        with growing:
            pass
        assert len(os.listdir("/proc/self/fd")) == before + 1

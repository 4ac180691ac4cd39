"""Connections on which nothing is asked, and connections on which something was."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from build_scripts import door_process
from build_scripts.demo import free_ports

TIMEOUT_S = 30


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="here")


async def compare(port: int) -> tuple[bytes, bytes]:
    """What a silent caller reads to its end, and what another reads who asks late again."""
    connections = door_process._Connections(answer)
    server = web.Server(connections.handle)
    runner = web.ServerRunner(server, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    watching = asyncio.ensure_future(connections.watch(server))
    asks, writes = await asyncio.open_connection("127.0.0.1", port)
    writes.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asks.readuntil(b"here")
    silent, drips = await asyncio.open_connection("127.0.0.1", port)
    drips.write(b"GET / HTTP/1.1\r\nHost")
    try:
        ended = await asyncio.wait_for(silent.read(), TIMEOUT_S)
    except ConnectionResetError:
        ended = b""
    writes.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    again = await asyncio.wait_for(asks.readuntil(b"here"), TIMEOUT_S)
    for one in (writes, drips):
        one.close()
    watching.cancel()
    await runner.cleanup()
    return ended, again


def test_one_that_asks_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_process, "FIRST_REQUEST_S", 0.2)
    ended, again = asyncio.run(compare(*free_ports(1)))
    assert ended == b""
    assert again.endswith(b"here")

"""Connections on which nothing is asked, and bodies that do not come."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from build_scripts.server.door import http, process, rules
from build_scripts.server.door.http import HttpDoor
from build_scripts.server.door.rules import Rules
from build_scripts.server.temporary import free_ports
from tests.waiting import PATIENCE_S


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="here")


async def compare(port: int) -> tuple[bytes, bytes]:
    """What a silent caller reads to its end, and what another reads who asks late again."""
    connections = process._Connections(answer)
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
        ended = await asyncio.wait_for(silent.read(), PATIENCE_S)
    except ConnectionResetError:
        ended = b""
    writes.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    again = await asyncio.wait_for(asks.readuntil(b"here"), PATIENCE_S)
    for one in (writes, drips):
        one.close()
    watching.cancel()
    await runner.cleanup()
    return ended, again


async def sent(port: int, pieces: list[bytes], length: int, pause_s: float) -> tuple[bytes, int]:
    """The answer's head to a body that comes in `pieces`, and the bytes that are counted after."""
    behind = web.Server(swallow)
    runner = web.ServerRunner(behind, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (inner,) = runner.addresses
    door = HttpDoor(f"http://127.0.0.1:{inner[1]}", Rules("s"), rules.http_method, answer_ready)
    outer = web.ServerRunner(web.Server(door.handle), shutdown_timeout=1)
    await outer.setup()
    await web.TCPSite(outer, "127.0.0.1", port).start()
    reads, writes = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v2/models/chat/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}"
    writes.write(head.encode() + b"\r\n\r\n")
    for piece in pieces:
        writes.write(piece)
        await asyncio.sleep(pause_s)
    found = await asyncio.wait_for(reads.readline(), PATIENCE_S)
    writes.close()
    await outer.cleanup()
    await door.close()
    await runner.cleanup()
    return found, door.open_bytes


async def swallow(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.Response(text="had it")


async def answer_ready() -> bool:
    return True


def test_a_body_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PIECE_S", 0.3)
    head, left = asyncio.run(sent(free_ports(1)[0], [b"a", b"b"], 1000, 0.01))
    assert b" 408 " in head
    assert left == 0


def test_bodies_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_OPEN_BYTES", 1000)
    head, left = asyncio.run(sent(free_ports(1)[0], [bytes(1000)], 1000, 0.0))
    assert b" 200 " in head
    assert left == 0
    head, left = asyncio.run(sent(free_ports(1)[0], [bytes(1001)], 1001, 0.0))
    assert b" 503 " in head
    assert left == 0


async def appended(more: bytes) -> bytes:
    """A whole answer to which `more` is appended."""
    runner = web.ServerRunner(web.Server(swallow), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"http://127.0.0.1:{runner.addresses[0][1]}"
    door = HttpDoor(target, Rules("s"), process.metrics_method, answer_ready, lambda: more)
    outer = web.ServerRunner(web.Server(door.handle), shutdown_timeout=1)
    await outer.setup()
    await web.TCPSite(outer, "127.0.0.1", 0).start()
    reads, writes = await asyncio.open_connection("127.0.0.1", outer.addresses[0][1])
    writes.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    found = await asyncio.wait_for(reads.read(), PATIENCE_S)
    writes.close()
    await outer.cleanup()
    await door.close()
    await runner.cleanup()
    return found


@pytest.mark.parametrize("more", [b"", b"onecard_vram_used_bytes 1\n"])
def test_what_serve_measures_is_appended_to_triton_s_metrics(more: bytes) -> None:
    head, _, body = asyncio.run(appended(more)).partition(b"\r\n\r\n")
    assert body == b"had it" + more
    assert b"content-length: %d" % len(body) in head.lower()


def test_one_that_asks_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_REQUEST_S", 0.2)
    ended, again = asyncio.run(compare(free_ports(1)[0]))
    assert ended == b""
    assert again.endswith(b"here")

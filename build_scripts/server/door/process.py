"""The process in front of one Triton: opens the ports that callers know, until SIGTERM.

What it is told comes on standard input, for a command line can be read by everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
from aiohttp import web

from build_scripts import child_process
from build_scripts.server.door import encryption, rules
from build_scripts.server.door.grpc import SERVER_OPTIONS, GrpcDoor
from build_scripts.server.door.http import FIRST_REQUEST_S, HttpDoor
from build_scripts.server.door.order import OPEN, Order
from build_scripts.server.door.rules import Refused, Rules

GRACE_S = 2.0
METRICS = "/metrics"


async def serve(order: Order, opened: Callable[[], None]) -> None:
    """Listen until SIGTERM. Raises OSError or RuntimeError where a port cannot be opened."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    guard = Rules(order.secret, frozenset(order.hosts))
    inner = GrpcDoor(f"127.0.0.1:{order.inner_grpc_port}", guard, order.on_demand)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(inner.close)
        await _open_grpc(order, inner, stack)
        http_address = order.http_address or order.address
        ports = (
            (http_address, order.http_port, order.inner_http_port, rules.http_method,
             inner.is_ready),
            (order.address, order.metrics_port, order.inner_metrics_port, metrics_method, _always),
        )  # fmt: skip
        for address, port, inner_port, method_of, is_ready in ports:
            target = f"http://127.0.0.1:{inner_port}"
            more = order.more_metrics if method_of is metrics_method else ""
            door = HttpDoor(target, guard, method_of, is_ready, partial(_read, more))
            stack.push_async_callback(door.close)
            await _open_http(address, port, door, stack)
        opened()
        await ended.wait()


def metrics_method(path: str) -> str:
    """As `door_rules.http_method`, of the port for metrics."""
    if path != METRICS:
        raise Refused(f"this port has `{METRICS}` alone; ask for that")
    return "GET"


async def _always() -> bool:
    return True


def _read(path: str) -> bytes:
    """A small file; nothing where there is none."""
    with contextlib.suppress(OSError):
        return Path(path).read_bytes() if path else b""
    return b""


async def _open_grpc(order: Order, door: GrpcDoor, stack: contextlib.AsyncExitStack) -> None:
    server = grpc.aio.server(handlers=[door], options=SERVER_OPTIONS)
    address = f"[{order.address}]" if ":" in order.address else order.address
    target = f"{address}:{order.grpc_port}"
    if order.certificate:
        opened = server.add_secure_port(target, encryption.credentials(order))
        server.add_insecure_port(f"127.0.0.1:{order.local_grpc_port}")
    else:
        opened = server.add_insecure_port(target)
    if not opened:
        raise OSError(f"port `{order.grpc_port}` of `{address}` cannot be opened")
    await server.start()
    stack.push_async_callback(server.stop, GRACE_S)


async def _open_http(
    address: str, port: int, door: HttpDoor, stack: contextlib.AsyncExitStack
) -> None:
    connections = _Connections(door.handle)
    server = web.Server(
        connections.handle,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=75.0,
    )
    runner = web.ServerRunner(server, shutdown_timeout=GRACE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, address, port, backlog=1024).start()
    watching = asyncio.ensure_future(connections.watch(server))
    stack.callback(watching.cancel)


class _Connections:
    """Ends connections on which no request comes, of which each holds a descriptor."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handle = handle
        self._heard: set[Any] = set()
        self._since_s: dict[Any, float] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._heard.add(request.protocol)
        return await self._handle(request)

    async def watch(self, server: web.Server) -> None:
        while True:
            await asyncio.sleep(FIRST_REQUEST_S / 3)
            now_s = time.monotonic()
            living = list(server.connections)
            self._heard.intersection_update(living)
            self._since_s = {one: self._since_s.get(one, now_s) for one in living}
            for connection, since_s in self._since_s.items():
                transport = connection.transport
                is_silent = connection not in self._heard and now_s - since_s > FIRST_REQUEST_S
                if is_silent and transport is not None:
                    transport.abort()


def main() -> None:
    """Exit status 0 after SIGTERM, 1 with a line of reason where a port cannot be opened."""
    order = Order.read(sys.stdin.readline())
    # What is no HTTP at all would be told with a traceback each.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL + 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, child_process.file_limit())
    try:
        asyncio.run(serve(order, lambda: print(OPEN, flush=True)))
    except (OSError, RuntimeError) as error:
        print(error, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Servers that go and come back, large and slow uploads, and many callers at a time."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import ANSWER, DELTAS, FINISHED, FakeServer, events, says

from build_scripts.server.temporary import free_ports
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
MIB = 2**20
FILE = {"file": ("a.wav", b"RIFF")}
CHAT = {"messages": [{"role": "user", "content": "Hello?"}]}
NUM_CALLERS = 64


def test_a_server_that_comes_back(gateway: Any, fake: Any) -> None:
    (port,) = free_ports(1)
    url = f"127.0.0.1:{port}"
    with gateway(url).client() as client:
        assert client.post("/v1/audio/transcriptions", files=FILE).status_code == 503
        first = FakeServer(events(FINISHED), port=port)
        until(lambda: client.post("/v1/audio/transcriptions", files=FILE).status_code == 200)
        first.stop()
        found = client.post("/v1/chat/completions", json=CHAT)
        assert (found.status_code, found.headers["retry-after"]) == (503, "2")
        second = FakeServer(events(*ANSWER), port=port)
        until(lambda: client.post("/v1/chat/completions", json=CHAT).status_code == 200)
        second.stop()


def test_the_next_request_goes_to_a_server_that_answers(gateway: Any, fake: Any) -> None:
    (port,) = free_ports(1)
    behind = fake(events(*ANSWER))
    with gateway(f"127.0.0.1:{port}", behind.url).client() as client:
        found = [client.post("/v1/chat/completions", json=CHAT).status_code for _ in range(4)]
    assert found == [503, 200, 200, 200]


def test_a_server_that_dies_amid_a_stream(gateway: Any, fake: Any) -> None:
    def dies(request: Any, context: Any) -> Any:
        context.cancel()

    with gateway(fake(events(DELTAS[0], then=dies)).url).client() as client:
        found = client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    *_, error, end = found.text.strip().split("\n\n")
    assert '"error": {"message"' in error
    assert end == "data: [DONE]"


def test_many_callers_at_a_time(gateway: Any, fake: Any) -> None:
    one = gateway(fake(events(*ANSWER)).url)

    def ask(number: int) -> bool:
        with one.client() as client:
            found = client.post("/v1/chat/completions", json={**CHAT, "stream": number % 2 == 0})
            return found.text.count("day.") == 1 and '"stop"' in found.text

    with ThreadPoolExecutor(NUM_CALLERS) as callers:
        assert all(callers.map(ask, range(NUM_CALLERS)))


@pytest.fixture
def process(fake: Any) -> Iterator[tuple[int, str]]:
    """A gateway in a process of its own, in front of a server that refuses: its pid and address."""
    (port,) = free_ports(1)
    behind = fake(says("INVALID_ARG: no audio"))
    paths = os.pathsep.join(str(ROOT / name) for name in ("client", "gateway"))
    command = [sys.executable, "-m", "onecard_gateway", "--url", behind.url, "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    ) as started:
        until(lambda: is_up(url))
        yield started.pid, url
        started.terminate()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/").status_code == 200
    except httpx.TransportError:
        return False


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("fields", ["", "?language=en"], ids=["kept first", "as it comes"])
def test_a_large_recording_is_not_held_in_memory(process: tuple[int, str], fields: str) -> None:
    pid, url = process
    httpx.post(f"{url}/v1/audio/transcriptions", files=FILE, timeout=PATIENCE_S)
    before = peak_bytes(pid)
    head = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'

    def form() -> Iterator[bytes]:
        yield head
        for _ in range(200):
            yield b"\0" * MIB
        yield b"\r\n--b--\r\n"

    kind = {"content-type": "multipart/form-data; boundary=b"}
    found = httpx.post(
        f"{url}/v1/audio/transcriptions{fields}", content=form(), headers=kind, timeout=PATIENCE_S
    )
    assert found.status_code == 400
    assert peak_bytes(pid) - before < 30 * MIB


def test_who_sends_slowly_holds_up_nobody(process: tuple[int, str]) -> None:
    address = httpx.URL(process[1])
    head = (
        "POST /asr HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n"
        "content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    slow = [socket.create_connection((address.host, address.port)) for _ in range(NUM_CALLERS)]
    try:
        for connection in slow:
            connection.sendall(head.encode())
        url = f"{address}/v1/audio/transcriptions"
        assert httpx.post(url, files=FILE, timeout=PATIENCE_S).status_code == 400
    finally:
        for connection in slow:
            connection.close()

"""The command: it starts, says why it cannot, and ends with the requests in flight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import FINISHED, PROGRESS, events

from build_scripts.server.temporary import free_ports
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
FILE = {"file": ("a.wav", b"RIFF")}


def command(*arguments: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("client", "gateway"))
    return subprocess.Popen(
        [sys.executable, "-m", "onecard_gateway", *arguments],
        env={**os.environ, "PYTHONPATH": paths, "GATEWAY_KEYS_FILE": ""},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_is_under_way_ends_before_the_gateway(fake: Any) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def waits(request: Any, context: Any) -> Iterator[Any]:
        asked.set()
        assert go_on.wait(PATIENCE_S)
        yield from events(FINISHED)(request, context)

    (port,) = free_ports(1)
    process = command("--url", fake(events(PROGRESS, then=waits)).url, "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    until(lambda: is_up(url))
    answers: list[httpx.Response] = []
    post = f"{url}/v1/audio/transcriptions"
    caller = threading.Thread(
        target=lambda: answers.append(httpx.post(post, files=FILE, timeout=PATIENCE_S))
    )
    caller.start()
    assert asked.wait(PATIENCE_S)
    process.send_signal(signal.SIGTERM)
    until(lambda: not is_up(url))
    go_on.set()
    caller.join(PATIENCE_S)
    _, log = process.communicate(timeout=PATIENCE_S)
    assert [answer.json()["text"] for answer in answers] == ["Hello there."]
    assert process.returncode == 0, log
    assert "POST /v1/audio/transcriptions 200" in log


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--host", "0.0.0.0"], 2, "--allow-anyone"),
        (["--url", "http://localhost:8000"], 2, "port 8001 by default"),
        (["--port", "PORT"], 1, "choose another with --port"),
    ],
)
def test_what_keeps_it_from_starting(
    gateway: Any, arguments: list[str], code: int, reason: str
) -> None:
    port = gateway().url.rpartition(":")[2]
    process = command(*(one.replace("PORT", port) for one in arguments))
    _, log = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, reason in log) == (code, True), log

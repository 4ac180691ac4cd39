"""haproxy's configuration in front of two FAKE servers, one of which is killed under load."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from bench.fleet import load, proxy, report
from bench.fleet.__main__ import values_of
from bench.fleet.proxy import Target
from bench.fleet.rolling import Rolled, roll
from onecard_client import Client

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))

from fake_server import FINISHED, PROGRESS, FakeServer, events

HAS_PROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
needs_proxy = pytest.mark.skipif(not HAS_PROXY, reason="no haproxy here: apt-get install haproxy")
FILES = [(f"file {number}", b"RIFF") for number in range(24)]


class Ready(BaseHTTPRequestHandler):
    """The answer to a health check."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/health/ready" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Server:
    """A fake that takes a moment for a file, and its health."""

    def __init__(self) -> None:
        self.fake = FakeServer(self._answer)
        self.health = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
        threading.Thread(target=self.health.serve_forever, daemon=True).start()
        self.finished = 0

    @property
    def target(self) -> Target:
        return Target(self.fake.port, self.health.server_port)

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from events(PROGRESS)(request, context)
        time.sleep(0.1)
        yield from events(FINISHED)(request, context)
        self.finished += 1

    def kill(self) -> None:
        self.fake.stop()
        self.health.shutdown()
        self.health.server_close()


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    both = Server(), Server()
    yield both
    for one in both:
        with contextlib.suppress(OSError):
            one.kill()


@needs_proxy
def test_one_of_two_is_killed_and_no_file_is_lost(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    first, second = servers

    def kill(done: int) -> None:
        if done == 8:
            threading.Thread(target=first.kill).start()

    with proxy.balanced([first.target, second.target], tmp_path) as url:
        outcomes = load.send(url, FILES, 4, kill)
        assert load.lost(outcomes) == []
        assert [one.name for one in outcomes] == [name for name, _ in FILES]
        assert min(first.finished, second.finished) > 0  # both had some
        # Each was answered once; what was under way at the first when it died was begun again.
        assert len(FILES) <= first.finished + second.finished <= len(FILES) + 4


@needs_proxy
def test_the_owner_s_header_does_not_pass(servers: tuple[Server, Server], tmp_path: Path) -> None:
    headers = {"onecard-control": "secret", "other": "stays"}
    with (
        proxy.balanced([one.target for one in servers], tmp_path) as url,
        Client(url, headers=headers) as client,
    ):
        assert client.transcribe(b"RIFF").text
    (seen,) = [one.fake.metadata[-1] for one in servers if one.fake.metadata]
    assert "onecard-control" not in seen
    assert seen["other"] == "stays"


def test_a_file_without_an_answer_is_told() -> None:
    found = [load.Outcome("a", "Hello.", "", 1.0), load.Outcome("b", "", "Unavailable: x", 1.0),
             load.Outcome("c", "", "", 1.0)]  # fmt: skip
    assert load.lost(found) == ["b: Unavailable: x", "c: no text"]


class Restartable:
    """A fake that is away for a moment, and comes back at its port."""

    def __init__(self) -> None:
        self.fake = FakeServer(self._answer)
        self.settings = SimpleNamespace(reachable_address="127.0.0.1", grpc_port=self.fake.port)
        self.finished = 0

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield from events(PROGRESS)(request, context)
        time.sleep(0.05)
        yield from events(FINISHED)(request, context)
        self.finished += 1

    def restart(self) -> None:
        self.fake.stop()
        time.sleep(0.2)
        self.fake = FakeServer(self._answer, port=self.settings.grpc_port)


def test_both_servers_are_restarted_in_turn_and_no_file_is_lost(tmp_path: Path) -> None:
    servers = [Restartable(), Restartable()]
    files = [(f"file {number}", b"RIFF%d" % number) for number in range(40)]
    try:
        rolled = roll(servers, files, tmp_path)  # type: ignore[arg-type]
    finally:
        for one in servers:
            one.fake.stop()
    assert rolled.faults([name for name, _ in files]) == []
    assert len(rolled.texts) == len(rolled.done) == 40
    assert len(rolled.restarts_s) == 2
    assert min(one.finished for one in servers) > 0


def test_what_is_missing_or_done_twice_is_on_the_page() -> None:
    rolled = Rolled(1, {"a": "Hello.", "b": ""}, {"a": 2, "b": 1}, "it said so")
    faults = rolled.faults(["a", "b", "c"])
    assert faults == ["b: no text", "c: no text", "a: answered 2 times",
                      "the command ended with 1: it said so"]  # fmt: skip
    facts = {"cpu": "a CPU", "cores": 2, "memory_gib": 24, "load": 1.0, "system": "Linux",
             "python": "3", "packages": {}}  # fmt: skip
    found = {"date": "2026-01-02T03:04:05", "machine": facts, "clip_s": 10.0,
             "rolling": {"files": 3, "restarts_s": [31.0, 33.0], "faults": faults}}  # fmt: skip
    assert report.faults(found) == [f"rolling: {fault}" for fault in faults]
    assert "| 3 of 10 s | 4 | restarts took 31 s and 33 s" in report.markdown(found)


def test_the_configuration_is_of_two_servers() -> None:
    text = proxy.configured(1, [Target(2, 3), Target(4, 5)])
    assert "server first 127.0.0.1:2 port 3" in text
    assert "server second 127.0.0.1:4 port 5" in text
    with pytest.raises(ValueError, match="must be 2"):
        proxy.configured(1, [Target(2, 3)])


def test_the_gauge_of_every_model_is_read_and_no_other() -> None:
    text = """# HELP onecard_audio_seconds_left Seconds of audio
onecard_audio_seconds_left{model="transcribe_stream"} 61.5
onecard_audio_seconds_left{model="transcribe"} 3
onecard_audio_seconds_left_of_another 7
onecard_audio_seconds_total{model="transcribe"} 9
"""
    assert values_of(text) == [61.5, 3.0]
    assert values_of("") == []

"""A crowd at FAKE servers that take few at a time: who is refused asks again, and is served."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.soak import crowd

sys.path.insert(0, str(Path(__file__).parents[2] / "client"))

from fake_server import FINISHED, FakeServer, events, says

CLIPS = [b"RIFF%d" % number for number in range(6)]
FULL = says("UNAVAILABLE: 32 streams are running, which is the limit; try again later")


class Gateway(BaseHTTPRequestHandler):
    """Refuses the first two requests."""

    left: list[int]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        is_refused = bool(self.left and self.left.pop())
        self.send_response(503 if is_refused else 200)
        if is_refused:
            self.send_header("retry-after", "0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Any]:
    kind = type("Own", (Gateway,), {"left": [1, 1]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(gateway_port=server.server_port)
    server.shutdown()
    server.server_close()


def test_all_are_served_by_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "RETRY_AFTER_S", 0.05)
    server = FakeServer(FULL, FULL, FULL, events(FINISHED))
    asked = crowd._all_at_once(CLIPS, crowd._by_grpc(server.url))
    server.stop()
    found = crowd._summary(asked, {"running": 32.0, "waiting": 64.0, "sending": 0.0})
    assert (found["served"], found["refusals"], found["errors"]) == (6, 3, [])
    assert 1 <= found["refused_at_first"] <= 3


def test_all_are_served_through_the_gateway_when_they_obey_retry_after(gateway: Any) -> None:
    asked = crowd._all_at_once(CLIPS, crowd._by_http(gateway))
    found = crowd._summary(asked, dict.fromkeys(crowd.STATES, 0.0))
    assert (found["served"], found["refusals"]) == (6, 2)


def test_who_is_not_served_is_on_the_page() -> None:
    server = FakeServer(says("INTERNAL: internal error"))
    asked = crowd._all_at_once(CLIPS[:2], crowd._by_grpc(server.url))
    server.stop()
    found = crowd._summary(asked, dict.fromkeys(crowd.STATES, 0.0))
    assert found["served"] == 0
    facts = {"cpu": "a CPU", "cores": 2, "memory_gib": 24, "load": 1.0, "system": "Linux",
             "python": "3", "packages": {}}  # fmt: skip
    page = crowd.markdown({"callers": 2, "date": "2026-01-02", "clip_s": 3.0, "machine": facts,
                           "ways": {"gRPC": found}})  # fmt: skip
    assert "| gRPC | 0 of 2 |" in page
    assert "- ServerError: internal error" in page

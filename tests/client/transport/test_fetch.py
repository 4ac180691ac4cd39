"""Recordings at addresses: fetched by the client, or refused with what is there."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import FINISHED, events

from onecard_client import InvalidRequest
from onecard_client.__main__ import main
from onecard_client._transport import fetch


class Web(http.server.BaseHTTPRequestHandler):
    """A FAKE web server, whose paths say what goes wrong."""

    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self._head(302, "text/plain", Location="/talk.wav")
        elif self.path.startswith("/escape"):
            self._head(302, "text/plain", Location="file:///etc/passwd")
        elif self.path.startswith("/page"):
            self._head(200, "text/html; charset=utf-8")
            self.wfile.write(b"<p>a player</p>")
        elif self.path.startswith("/short"):
            self._head(200, "audio/wav", **{"Content-Length": "100"})
            self.wfile.write(b"audio")
        elif self.path.startswith("/huge"):
            self._head(200, "audio/wav", **{"Content-Length": str(2**50)})
        elif self.path.startswith("/empty"):
            self._head(200, "audio/wav")
        elif self.path.startswith("/endless"):
            self._head(200, "audio/mpeg")
            try:
                while True:
                    self.wfile.write(bytes(1000))
            except OSError:
                pass
        elif self.path.startswith("/talk"):
            self._head(200, "audio/wav")
            self.wfile.write(b"audio")
        else:
            self.send_error(404)

    def _head(self, status: int, kind: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/talk.wav?token=1", "/moved"])
def test_what_is_at_an_address_is_sent(path: str, web: str, fake: Any, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    line = ["transcribe", web + path, "--url", server.url, "-o", str(tmp_path), "-f", "txt"]
    assert main(line) == 0
    assert server.audio() == b"audio"
    stem = "talk" if "talk" in path else "moved"
    assert [found.name for found in tmp_path.iterdir()] == [f"{stem}.txt"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/missing.wav", "says 404"),
        ("/page", "web page"),
        ("/short", "5 of the 100 bytes"),
        ("/huge", "must be at most"),
        ("/empty", "nothing at the address"),
        ("/endless", "still sends after"),
        ("/escape", "file"),
    ],
)
def test_what_cannot_be_had_is_told(path: str, says: str, web: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        fetch.fetched(web + path, 0.3)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/a.wav", "http://no-such-host.invalid/a.wav", "http://", "http://[::1/a"],
)
def test_addresses_where_nobody_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(InvalidRequest, match="address"):
        fetch.fetched(address, 10)


def test_a_bad_address_costs_itself_alone(web: str, fake: Any, tmp_path: Path, capsys: Any) -> None:
    server = fake(events(FINISHED))
    files = [web + "/missing.mp3", web + "/talk.mp3"]
    line = ["transcribe", *files, "--url", server.url, "-o", str(tmp_path), "-f", "txt"]
    assert main(line) == 1
    assert f"{web}/missing.mp3: the server at the address says 404" in capsys.readouterr().err
    assert (tmp_path / "talk.txt").exists()

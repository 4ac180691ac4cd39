"""A real HTTP server on this machine that serves one file in ranges, and can break off half-way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RangeServer(ThreadingHTTPServer):
    """`cuts`: after how many bytes the next answers break off; `ranges`: what was asked for."""

    def __init__(self, content: bytes, cuts: list[int], knows_ranges: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.cuts, self.knows_ranges = content, cuts, knows_ranges
        self.ranges: list[str | None] = []
        self.failures = 0  # answers of status 503 that come first

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/large-v3.pt"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
            return
        if not self.path.endswith("large-v3.pt"):
            self.send_error(404)
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        is_part = asked is not None and self.server.knows_ranges
        if is_part and begin >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[begin if is_part else 0 :]
        self.send_response(206 if is_part else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(body)
        self.wfile.write(body[:cut])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(content: bytes, *cuts: int, knows_ranges: bool = True) -> Iterator[RangeServer]:
    server = RangeServer(content, list(cuts), knows_ranges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

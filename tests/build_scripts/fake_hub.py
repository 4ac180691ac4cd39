"""A fake of Hugging Face's hub on this machine: the answers that its client asks for, and no more.

The client, its resumption and its errors are real; only the server is not huggingface.co.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "a" * 40
LARGE = ".safetensors"  # kept as LFS files are: by sha256


class FakeHub(ThreadingHTTPServer):
    """`files`: of the one repository; `sent`: what is sent instead; `asked`: paths, in order.

    `cuts`: after how many bytes the next answer of a file breaks off; `ranges`: what was asked for,
    of files by name. `num_descriptions`: how often the repository is described before the hub has
    an error of its own.

    `token`: the one that files are given to, where the repository is gated; its description
    everybody gets, as from the real one. `refusal`: status and error code of the others."""

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repository, self.files = repository, files
        self.sent: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cuts: dict[str, int] = {}
        self.ranges: dict[str, list[str | None]] = {}
        self.num_descriptions = 1000
        self.commit = COMMIT
        self.token = ""
        self.refusal = (401, "GatedRepo")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def info(self) -> dict[str, Any]:
        return {
            "id": self.repository,
            "sha": self.commit,
            "cardData": {"license": "apache-2.0"},
            "siblings": [_sibling(name, content) for name, content in self.files.items()],
        }


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    found: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.endswith(LARGE):
        found["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 100}
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        if with_body:
            hub.asked.append(path)
        name = path.partition(f"/{hub.repository}/resolve/{hub.commit}/")[2]
        if path.startswith(f"/api/models/{hub.repository}/revision/"):
            asked = path.rpartition("/")[2]
            hub.num_descriptions -= 1
            if hub.num_descriptions < 0:
                self._refuse("", 500)
            elif asked in ("main", hub.commit):
                self._send(json.dumps(hub.info()).encode(), {"Content-Type": "application/json"})
            else:
                self._refuse("RevisionNotFound")
        elif name in hub.files and not self._is_let_in():
            self._refuse(hub.refusal[1], hub.refusal[0])
        elif name in hub.files:
            etag = _sha256(hub.files[name])
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": hub.commit}
            self._send_file(name, hub.sent.get(name, hub.files[name]), headers, with_body)
        else:
            self._refuse("RepoNotFound")

    def _is_let_in(self) -> bool:
        token = self.server.token
        return not token or self.headers.get("Authorization") == f"Bearer {token}"

    def _refuse(self, code: str, status: int = 404) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_file(self, name: str, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        asked, status = self.headers.get("Range"), 200
        if with_body:
            self.server.ranges.setdefault(name, []).append(asked)
        if asked:
            begin, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            body = body[begin:]
        cut = self.server.cuts.pop(name, len(body)) if with_body else 0
        self._send(body, headers, with_body, status, cut)

    def _send(
        self,
        body: bytes,
        headers: dict[str, str],
        with_body: bool = True,
        status: int = 200,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[:cut])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(repository: str, files: dict[str, bytes]) -> Iterator[FakeHub]:
    hub = FakeHub(repository, files)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()

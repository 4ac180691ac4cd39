"""Forms that are sent piece by piece, and a fake server that tells of parts as they come."""

from __future__ import annotations

import http.client
import json
import select
import threading
from collections.abc import Iterator
from typing import Any

import httpx
from fake_server import FakeServer, Step, content, says

from tests.waiting import PATIENCE_S, PAUSE_S

FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def field(name: str, value: str) -> bytes:
    return f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


class SlowForm:
    """A form on its way."""

    def __init__(self, url: str, path: str = "/v1/audio/transcriptions", **headers: str) -> None:
        address = httpx.URL(url)
        self._to = http.client.HTTPConnection(address.host, address.port, timeout=PATIENCE_S)
        self._to.putrequest("POST", path)
        self._to.putheader("content-type", "multipart/form-data; boundary=b")
        self._to.putheader("transfer-encoding", "chunked")
        for name, value in headers.items():
            self._to.putheader(name.replace("_", "-"), value)
        self._to.endheaders()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._to.send(b"%x\r\n%s\r\n" % (len(piece), piece))

    def finish(self, *pieces: bytes) -> None:
        self.send(*pieces, b"--b--\r\n")
        self._to.send(b"0\r\n\r\n")

    def end(self, *pieces: bytes) -> tuple[int, Any]:
        """The rest, and the answer."""
        self.finish(*pieces)
        return self.answer()

    def answer(self) -> tuple[int, Any]:
        """Its status and JSON, or text; may come before the form has gone."""
        found = self._to.getresponse()
        body = found.read().decode()
        self.leave()
        is_json = (found.getheader("content-type") or "").startswith("application/json")
        return found.status, json.loads(body) if is_json else body

    def trickle(self, piece: bytes) -> tuple[int, Any]:
        """The answer that comes while this piece goes on and on."""
        while not select.select([self._to.sock], [], [], PAUSE_S)[0]:
            self.send(piece)
        return self.answer()

    def leave(self) -> None:
        self._to.close()


class WatchedServer(FakeServer):
    """A fake whose uploads can be looked at.

    Attributes:
        streams: the bytes of each part, for each stream.
        left: set when a stream ended before its recording was whole.
        refusal: what is said to the first part, if anything.
    """

    def __init__(self, *script: Step) -> None:
        self.streams: list[list[bytes]] = []
        self.left = threading.Event()
        self.refusal = ""
        super().__init__(*script)

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:
        came: list[bytes] = []
        whole = threading.Event()
        self.streams.append(came)
        context.add_callback(lambda: whole.is_set() or self.left.set())

        def noted() -> Iterator[Any]:
            for request in requests:
                came.append(content(request))
                if "is_last" not in request.parameters or request.parameters["is_last"].bool_param:
                    whole.set()
                yield request

        if self.refusal:
            coming = noted()
            next(coming)
            yield from says(self.refusal)(None, context)
            for _ in coming:  # as Triton, which leaves it to the client to end the stream
                pass
        else:
            yield from super().ModelStreamInfer(noted(), context)

"""A caller that goes away frees the work, at whatever stage it is."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from fake_server import PROGRESS, events, hangs

# A fraction of a second, on a machine that does nothing else; the fake waits for a minute.
SOON_S = 10.0
FORM = {"files": {"file": ("a.wav", b"RIFF")}}


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        (hangs, {}),
        (events(PROGRESS, then=hangs), {}),
        (events(PROGRESS, then=hangs), {"stream": "true"}),
    ],
    ids=["before anything", "amid the work", "amid a stream"],
)
def test_the_work_ends(gateway: Any, fake: Any, script: Any, fields: dict[str, str]) -> None:
    server = fake(script)
    with gateway(server.url).client() as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/audio/transcriptions", data=fields, timeout=0.5, **FORM)
        assert server.cancelled.wait(SOON_S)


def test_half_an_upload(gateway: Any, fake: Any) -> None:
    """Nothing of it reaches the server, and the gateway goes on."""
    server = fake(events(PROGRESS))
    one = gateway(server.url)
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n"
        "content-type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
    )
    url = httpx.URL(one.url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head.encode())
    with one.client() as client:
        assert client.get("/").status_code == 200
    assert server.requests == []

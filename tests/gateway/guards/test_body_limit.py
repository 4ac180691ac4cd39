"""Bodies over the limit are refused by their stated length, or while they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fake_server import FINISHED, events


def test_stated_and_unstated_lengths(gateway: Any, fake: Any) -> None:
    one = gateway(fake(events(FINISHED)).url, max_body_bytes=1000)

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n'
        for _ in range(11):
            yield b"x" * 100

    kind = {"content-type": "multipart/form-data; boundary=b"}
    with one.client() as client:
        url = "/v1/audio/transcriptions"
        for found in (
            client.post(url, content=b"x" * 1001, headers=kind),
            client.post(url, content=pieces(), headers=kind),
        ):
            assert found.status_code == 413
            assert "at most 1000" in found.json()["error"]["message"]
        assert client.get("/").status_code == 200

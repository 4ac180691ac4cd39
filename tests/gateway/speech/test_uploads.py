"""Uploads under way are bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fake_server import FINISHED, events

from onecard_gateway.errors import Refusal
from onecard_gateway.speech.uploads import Uploads
from tests.waiting import PATIENCE_S

URL = "/v1/audio/transcriptions"
FILE = {"file": ("talk.mp3", b"x" * 500)}


def test_room_is_given_back() -> None:
    uploads = Uploads(2, 1000)
    stated, growing = uploads.begin(600), uploads.begin(0)
    growing.grow(300)
    with pytest.raises(Refusal, match="2 uploads are under way, may be at most 2") as full:
        uploads.begin(0)
    assert (full.value.status, full.value.retry_after_s) == (503, 10)
    with pytest.raises(Refusal, match="have 900 bytes, may have at most 1000"):
        growing.grow(101)
    stated.grow(600)
    stated.end()
    stated.end()
    growing.grow(100)
    with pytest.raises(Refusal, match="at most 1000 with this one's 600"):
        uploads.begin(600)
    growing.end()
    uploads.begin(1000).end()
    with pytest.raises(Refusal, match="has 1001 bytes") as large:
        uploads.begin(1001)
    assert large.value.status == 413


def test_one_too_many_is_asked_to_come_again(gateway: Any, fake: Any) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def waits(request: Any, context: Any) -> Iterator[Any]:
        asked.set()
        assert go_on.wait(PATIENCE_S)
        yield from events(FINISHED)(request, context)

    one = gateway(fake(waits).url, uploads_at_a_time=1)
    statuses: list[int] = []

    def post() -> None:
        with one.client() as client:
            statuses.append(client.post(URL, files=FILE).status_code)

    first = threading.Thread(target=post)
    first.start()
    assert asked.wait(PATIENCE_S)
    with one.client() as client:
        found = client.post(URL, files=FILE)
        assert (found.status_code, found.headers["retry-after"]) == (503, "10")
        assert "--uploads-at-a-time" in found.json()["error"]["message"]
        go_on.set()
        first.join(PATIENCE_S)
        assert client.post(URL, files=FILE).status_code == 200
    assert statuses == [200]


def test_an_upload_without_a_length_is_bounded_as_it_comes(gateway: Any, fake: Any) -> None:
    one = gateway(fake(events(FINISHED)).url, uploads_max_bytes=1000)
    kind = {"content-type": "multipart/form-data; boundary=b"}

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n'
        for _ in range(11):
            yield b"x" * 100

    with one.client() as client:
        found = client.post(URL, content=pieces(), headers=kind)
        assert found.status_code == 413
        assert "--uploads-max-bytes" in found.json()["error"]["message"]
        assert client.post(URL, files=FILE).status_code == 200

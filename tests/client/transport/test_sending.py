"""How recordings are sent: from disk while they are read, at every attempt from the beginning."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_server import FINISHED, PROGRESS, SEGMENTS, content, events, fails, hangs

from onecard_client import InvalidRequest
from onecard_client._transport import wire
from onecard_client._transport.source import read_audio

BUSY = fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


def test_a_file_of_any_size_is_read_as_it_is_sent(tmp_path: Path) -> None:
    """How much is served is for the server to say; the client never holds the whole."""
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(2**31 + 5)  # sparse: takes no space, and would take 2 GiB of memory if read
    tracemalloc.start()
    with read_audio(path) as content:
        sent = [
            len(part.raw_input_contents[0]) - 4
            for part in islice(wire.requests(wire.TRANSCRIBE, content, {}, "r")(), 20)
        ]
        assert len(content) == 2**31 + 5
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent == [wire.PART_BYTES] * 20
    assert peak_bytes < 2**25


def test_what_goes_in_one_message_has_a_limit() -> None:
    with pytest.raises(InvalidRequest, match="2 GiB"):
        wire.verify_size(2**31)  # type: ignore[attr-defined]


class Pipe(io.RawIOBase):
    """A stream that can be read once."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._left = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._left.readinto(buffer)


LARGE = bytes(range(256)) * 5000  # more than a part


@pytest.mark.parametrize("kind", ["path", "file", "amid", "pipe"])
def test_every_attempt_sends_all_of_it(kind: str, fake: Any, connect: Any, tmp_path: Path) -> None:
    lost = fails(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    server = fake(lost, events(FINISHED))
    path = tmp_path / "talk.wav"
    path.write_bytes(LARGE)
    with path.open("rb") as file:
        sources = {"path": path, "file": file, "amid": file, "pipe": Pipe(LARGE)}
        file.seek(7 if kind == "amid" else 0)
        connect(server.url).transcribe(sources[kind])
    assert len(server.requests) == 2
    assert all(content(one) == LARGE[7 if kind == "amid" else 0 :] for one in server.requests)


def test_a_named_pipe_is_read_to_its_end(fake: Any, connect: Any, tmp_path: Path) -> None:
    """As in `onecard transcribe <(ffmpeg ...)`."""
    server = fake(events(FINISHED))
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(LARGE,))
    writer.start()
    connect(server.url).transcribe(path)
    writer.join()
    assert server.audio() == LARGE


def test_a_file_that_shrinks_while_it_is_sent_is_told(
    fake: Any, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(LARGE)
    part = wire._request

    def shrink(*args: Any) -> Any:
        os.truncate(path, 5)
        return part(*args)

    monkeypatch.setattr(wire, "_request", shrink)
    with pytest.raises(OSError, match="became shorter"):
        connect(fake(hangs).url).transcribe(path, timeout_s=60)


def test_progress_of_a_transcription_that_is_waited_for(fake: Any, connect: Any) -> None:
    seen: list[Any] = []
    server = fake(events(PROGRESS, SEGMENTS, then=BUSY), events(PROGRESS, SEGMENTS, FINISHED))
    connect(server.url).transcribe(b"audio", on_progress=seen.append)
    assert [one.stage for one in seen] == ["recognize", "recognize"]

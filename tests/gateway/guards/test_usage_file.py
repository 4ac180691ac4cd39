"""What keys have used outlives the gateway."""

from __future__ import annotations

import logging
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import FINISHED, events

from onecard_gateway.errors import Refusal
from onecard_gateway.guards.usage_file import Used
from onecard_gateway.keys.key import SPEECH, Key, Limits

FILE = {"file": ("talk.mp3", b"RIFF of some kind")}
KEY = Key("notes", "a" * 64, limits=Limits(audio_seconds_a_day=100))


def wait_s(used: Used, key: Key = KEY) -> int | None:
    """Until the key may ask again; None for now."""
    try:
        used[key.sha256].begin(key, SPEECH, time.monotonic())
    except Refusal as refusal:
        return refusal.retry_after_s
    return None


def test_seconds_of_a_day_are_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "data" / "usage.sqlite3"
    first = Used(path)
    assert not path.exists()
    first[KEY.sha256].count(60.0)
    first["other"].count(500.0)
    first[KEY.sha256].end(SPEECH, 40.0, time.monotonic())
    assert 86_390 < (wait_s(first) or 0) <= 86_400
    first.close()
    second = Used(path)
    assert 86_390 < (wait_s(second) or 0) <= 86_400
    second.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_older_than_a_day_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite3"
    used = Used(path)
    used[KEY.sha256].count(100.0)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE audio SET time_s = time_s - 86399")
    late = Used(path)
    assert wait_s(late) in (1, 2)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE audio SET time_s = time_s - 2")
    old = Used(path)
    assert wait_s(old) is None
    old["other"].count(1.0)
    assert database.execute("SELECT owner FROM audio").fetchall() == [("other",)]
    for one in (used, late, old):
        one.close()
    database.close()


def test_a_file_that_is_none_is_told_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "usage.sqlite3"
    path.write_text("no database at all " * 100)
    with caplog.at_level(logging.ERROR):
        used = Used(path)
    assert "in memory alone" in caplog.text
    used[KEY.sha256].count(100.0)
    assert wait_s(used)


def test_a_limit_holds_in_the_next_gateway(
    gateway: Any, fake: Any, keys: Any, tmp_path: Path
) -> None:
    secret = keys.add("notes", audio_seconds_a_day=2)
    files = {"keys_file": keys.path, "usage_file": tmp_path / "usage.sqlite3"}
    url = fake(events(FINISHED)).url

    def asked() -> httpx.Response:
        with gateway(url, **files).client(headers={"api-key": secret}) as client:
            return client.post("/v1/audio/transcriptions", files=FILE)

    assert [asked().status_code for _ in range(2)] == [200, 429]

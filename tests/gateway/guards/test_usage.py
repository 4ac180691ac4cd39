"""Limits of a key: what is over one is refused with the limit, its value, and when to ask again."""

from __future__ import annotations

import pytest

from onecard_gateway.errors import Refusal
from onecard_gateway.guards.usage import DAY_S, Usage, Window
from onecard_gateway.keys.key import SPEECH, TEXT, Key, Limits


def key(**limits: float) -> Key:
    return Key("notes", "0" * 64, limits=Limits(**limits))


def refused(usage: Usage, given: Key, now_s: float) -> tuple[int | None, str]:
    with pytest.raises(Refusal) as caught:
        usage.begin(given, SPEECH, now_s)
    assert caught.value.status == 429
    return caught.value.retry_after_s, caught.value.message


def test_requests_a_minute() -> None:
    usage, given = Usage(), key(requests_a_minute=2)
    usage.begin(given, None, 100.0)
    usage.begin(given, SPEECH, 110.0)
    wait_s, message = refused(usage, given, 130.5)
    assert wait_s == 30  # 29.5, in whole seconds
    assert "`notes` has made 2 requests within a minute, may have at most 2" in message
    assert "(`requests_a_minute`); ask again in 30 s" in message
    usage.begin(given, SPEECH, 160.0)  # the refused one did not count
    assert refused(usage, given, 160.0)[0] == 10


def test_streams() -> None:
    usage, given = Usage(), key(streams=1)
    usage.begin(given, SPEECH, 0.0)
    usage.begin(given, None, 0.0)  # a look at the list of models
    wait_s, message = refused(usage, given, 0.0)
    assert wait_s
    assert "has 1 requests under way, may have at most 1 (`streams`)" in message
    usage.end(None, None, 1.0)
    usage.end(SPEECH, None, 1.0)
    usage.begin(given, SPEECH, 1.0)


def test_audio_seconds_a_day() -> None:
    usage, given = Usage(), key(audio_seconds_a_day=100)
    for now_s, audio_s in ((0.0, 60.0), (1000.0, 30.0), (2000.0, 30.0)):
        usage.begin(given, SPEECH, now_s)
        usage.end(SPEECH, audio_s, now_s)
    wait_s, message = refused(usage, given, 3000.0)
    assert wait_s == DAY_S - 3000
    assert "120 s of audio" in message
    assert "at most 100 (`audio_seconds_a_day`)" in message
    usage.begin(given, TEXT, 3000.0)
    usage.begin(given, SPEECH, DAY_S + 1)


def test_a_window_stays_small() -> None:
    window = Window(60.0)
    for number in range(100_000):
        window.add(number / 1000, 1)
    assert 59_900 <= window.used(100.0) <= 60_100
    assert len(window._entries) <= 1001
    assert window.used(200.0) == 0

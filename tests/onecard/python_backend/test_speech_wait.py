"""Calls wait for speech, and a request for no longer than its bound."""

from __future__ import annotations

import threading

import pytest

from onecard.errors import Cancelled
from onecard.python_backend import speech_lock
from onecard.python_backend.speech_wait import SpeechWait, noticed


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Speech:
    def __init__(self) -> None:
        self.is_on = True

    def is_busy(self) -> bool:
        return self.is_on


def test_a_call_starts_when_speech_ends():
    clock, speech = Clock(), Speech()
    wait = SpeechWait(speech.is_busy, 60.0, clock)
    assert not wait.lets_start()
    assert wait.is_waited_for
    clock.now_s += 5
    assert not wait.lets_start()
    speech.is_on = False
    clock.now_s += 1
    assert wait.lets_start()
    assert not wait.is_waited_for
    assert wait.waited_s == 6.0


def test_under_steady_speech_all_calls_of_a_request_wait_no_longer_than_one_would():
    clock, speech = Clock(), Speech()
    wait = SpeechWait(speech.is_busy, 60.0, clock)
    began_s = clock.now_s
    for _ in range(100):
        while not wait.lets_start():
            clock.now_s += 1
    assert clock.now_s - began_s == 60.0
    assert wait.waited_s == 60.0


def test_what_is_left_of_the_bound_is_waited_for_the_next_time():
    clock, speech = Clock(), Speech()
    wait = SpeechWait(speech.is_busy, 60.0, clock)
    assert not wait.lets_start()
    clock.now_s += 50
    speech.is_on = False
    assert wait.lets_start()
    speech.is_on = True
    assert not wait.lets_start()
    clock.now_s += 9
    assert not wait.lets_start()
    clock.now_s += 1
    assert wait.lets_start()


def test_speech_that_is_noticed_is_not_waited_for_by_a_caller_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv(speech_lock.RUN_DIRECTORY, str(tmp_path))
    is_gone = threading.Event()

    def check() -> None:
        if is_gone.is_set():
            raise Cancelled("the caller is gone")

    is_busy = noticed(check)
    with speech_lock.speech():
        assert is_busy()
        is_gone.set()
        with pytest.raises(Cancelled, match="gone"):
            is_busy()

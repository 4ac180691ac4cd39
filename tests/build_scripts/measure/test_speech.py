"""What is measured of speech, on the CPU: no test measures a card."""

from __future__ import annotations

import numpy as np
import pytest

from build_scripts.measure import speech
from build_scripts.plans import plan


def test_the_turns_and_word_times_of_one_device_are_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison itself, on stated answers; that it runs, on this machine's processor."""
    begins = {"cpu": {0: 0.0, 1: 0.5, 2: 1.0}, "cuda": {0: 0.02, 1: 0.5, 2: 1.3}}
    monkeypatch.setattr(speech, "_whisper", lambda device, _: device)
    monkeypatch.setattr(speech, "_transcribed", lambda *_: [[1, 2, 3]])
    monkeypatch.setattr(speech, "_aligned", lambda device, *_: begins[device])
    pcm = speech.recording()
    assert speech.word_times("cuda", pcm) == {
        "tokens": 3, "median_s": 0.02, "most_s": 0.3, "within_40_ms": 0.6667,
    }  # fmt: skip
    speaks = np.zeros((2, 1000), bool)
    other = speaks.copy()
    other[1, 100:350] = True
    answers = iter([(speaks, 2.0), (other, 0.5)])
    monkeypatch.setattr(speech, "_turns", lambda *_: next(answers))
    assert speech.turns("cuda", pcm)["differing_s"] == 0.25


def test_whisper_is_timed_on_real_speech() -> None:
    found = speech.measured("whisper", "cpu", plan.load("rtx3090"))
    assert found["error"] == ""
    (row,) = found["sweeps"]
    assert row["tokens"] > 40  # the recording is 30 s of talk
    assert row["took_s"] > 0

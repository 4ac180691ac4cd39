"""The progress of many files: what is done, how fast, and how long it takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commands import Terminal
from fake_server import RESULT

from onecard_client import Transcript
from onecard_client._files import progress
from onecard_client._files.estimate import Estimate
from onecard_client._files.progress import State
from onecard_client._files.recording import Recording
from onecard_client._files.transcription import Done


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(0, 0, 12, 0.0, None, 0.0), "0 of 12 files, 0:00 of audio"),
        (
            State(3, 1, 12, 754.0, 3600.0, 7.5),
            "3 of 12 files, 1 failed, 12:34 of audio, 7.5x, 8:00 left",
        ),
        (State(3, 0, None, 7384.0, 0.0, 7.5), "3 files, 2:03:04 of audio, 7.5x"),
    ],
)
def test_in_words(state: State, text: str) -> None:
    assert str(state) == text


def test_bar_by_seconds_of_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    bar = progress.display(wanted=None, verbose=True)
    bar.show(State(3, 0, 12, 25.0, 75.0, 5.0))
    bar.show(State(4, 0, 12, 50.0, 50.0, 5.0))  # too soon
    bar.clear()
    bar.clear()
    assert terminal.getvalue() == (
        "\r\033[K[#####...............] 3 of 12 files, 0:25 of audio, 5.0x, 0:15 left\r\033[K"
    )


def test_seconds_are_learnt_by_kind_of_file() -> None:
    estimate = Estimate()
    transcript = Transcript.from_dict(RESULT)  # of 2 s

    def recording(name: str, num_bytes: int) -> Recording:
        return Recording(name, Path(), "x", num_bytes=num_bytes)

    assert estimate.seconds(recording("a.wav", 64_000)) == 2.0
    estimate.learn(Done(recording("a.mp3", 1000), transcript, [], 1.0))
    estimate.learn(Done(recording("a.wav", 9000), transcript, [], 1.0))
    assert estimate.seconds(recording("b.mp3", 5000)) == pytest.approx(10.0)
    assert estimate.seconds(recording("b.wav", 9000)) == pytest.approx(2.0)
    assert estimate.seconds(recording("b.ogg", 5000)) == pytest.approx(2.0)

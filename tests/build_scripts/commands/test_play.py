"""What the demo prints of the triage: that it works, and what its model is."""

from __future__ import annotations

import os
import sys
from typing import Any, cast

import pytest

from build_scripts import paths
from build_scripts.commands import demo, play, setup
from onecard_client import Client, TriageCall, TriageSummary, Verdict

RECORDING = paths.ROOT / "talk.wav"
VERDICT = Verdict(
    "1", "meeting", "high", True, None, "2026-02-14", None, None, 0.5, None, True, None, False, 1
)
CALL = TriageCall(1, ("1",), 1200, 80, 2.5)
SUMMARY = TriageSummary(10, 9, ("1",), (CALL,), 1200, 80, 21.25, 6.5)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    class Fake:
        def transcribe(self, recording: object) -> str:
            assert recording == RECORDING
            return "the transcript"

    def read(is_placeholder: bool, shows_verdicts: bool) -> str:
        client = cast(Client, Fake())
        transcript = play.play(client, RECORDING, is_placeholder, shows_verdicts)
        assert transcript == cast(Any, "the transcript")
        return capsys.readouterr().out

    monkeypatch.setattr(play, "triaged", lambda client: ({"1": "Lunch?"}, [VERDICT], SUMMARY))
    monkeypatch.setattr(play, "show_transcript", lambda transcript, seconds: None)
    return read


def test_the_demo_ends_on_what_the_triage_did_and_on_what_its_model_is(played: Any) -> None:
    out = played(is_placeholder=True, shows_verdicts=False)
    assert "9 of 10 verdicts valid, in 21.2 s, of which 6.5 s waiting for speech" in out
    assert "1 call of the language model, 1,200 tokens in, 80 out" in out
    assert "placeholder of 135M parameters" in out
    assert "plans/cpu.toml" in out
    assert "Lunch?" not in out
    assert "ARGS=--verdicts" in out


def test_the_verdicts_are_shown_to_whoever_asks_for_them(played: Any) -> None:
    out = played(is_placeholder=False, shows_verdicts=True)
    assert "Lunch?" in out
    assert "meeting, high, due 2026-02-14, for review" in out
    assert "placeholder" not in out


def test_the_demo_sets_up_and_goes_on_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr(setup, "main", lambda verb, arguments: done.append(verb))
    monkeypatch.setattr(os, "execv", lambda program, command: done.append((program, command)))
    demo.main(["--verdicts"])
    python = str(paths.PYTHON)
    assert done == ["setup", (python, [python, "-m", "build_scripts", "play", "--verdicts"])]


def test_a_flag_that_there_is_not_is_refused_before_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "main", lambda verb, arguments: sys.exit("setup ran"))
    with pytest.raises(SystemExit, match=r"^2$"):
        demo.main(["--verdict-table"])

"""The run as a whole: one benchmark's trouble, and what is written at the end."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

import bench.__main__ as runner
from bench.interleave import once
from bench.targets import BENCHMARKS


@pytest.fixture
def stand_in(monkeypatch):
    """Put a function in the place of a benchmark's `measure`."""

    def put(name, measure):
        monkeypatch.setitem(sys.modules, f"bench.{name}", SimpleNamespace(measure=measure))

    return put


def fail():
    raise RuntimeError("no room")


def interrupt():
    raise KeyboardInterrupt


def test_one_that_fails_does_not_lose_the_others(stand_in, capsys):
    stand_in("whisper_speed", lambda: {"ratio": once(1.0)})
    stand_in("chat_speed", fail)
    stand_in("together", lambda: {"speech_ratio": once(1.1)})
    found = {}
    assert runner.run(["whisper_speed", "chat_speed", "together"], found) == 1
    assert found["whisper_speed"]["ratio"]["median"] == 1.0
    assert found["chat_speed"] == {"error": "RuntimeError: no room"}
    assert found["together"]["speech_ratio"]["median"] == 1.1
    assert "no room" in capsys.readouterr().err


def test_an_interrupt_ends_the_run_and_keeps_what_was_measured(stand_in):
    stand_in("whisper_speed", lambda: {"ratio": once(1.0)})
    stand_in("chat_speed", interrupt)
    stand_in("together", fail)
    found = {}
    status = runner.run(["whisper_speed", "chat_speed", "together"], found)
    assert status == runner.INTERRUPTED
    assert list(found) == ["whisper_speed", "chat_speed"]


def test_results_and_a_page_are_written_whatever_failed(stand_in, monkeypatch, tmp_path):
    stand_in("whisper_speed", lambda: {"ratio": once(1.0)})
    stand_in("chat_speed", fail)
    folder = tmp_path / "results"
    command = ["bench", "whisper_speed", "chat_speed", "--results", str(folder)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        runner.main()
    assert ended.value.code == 1
    (document,) = folder.glob("*.json")
    found = json.loads(document.read_text())
    assert found["whisper_speed"]["ratio"]["median"] == 1.0
    assert found["machine"]["packages"]["torch"]
    page = document.with_suffix(".md").read_text()
    assert "RuntimeError: no room" in page
    assert "1.000x" in page


def test_an_unknown_name_is_refused_with_those_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "whispr"])
    with pytest.raises(SystemExit):
        runner.main()
    names = ", ".join(BENCHMARKS)
    assert f"no benchmark `whispr`; there are: {names}" in " ".join(capsys.readouterr().err.split())

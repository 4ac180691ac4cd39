"""The run as a whole: one benchmark's trouble, and what is written at the end."""

from __future__ import annotations

import contextlib
import json
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest

import bench.__main__ as runner
from bench.interleave import once
from bench.targets import BENCHMARKS
from build_scripts.commands import setup
from build_scripts.errors import InstallError
from evaluation.peers import environment

NAMES = ["whisper_speed", "chat_speed", "speech_beside_text"]


@pytest.fixture
def stand_in(monkeypatch):
    """Put a function in the place of a benchmark's `measure`."""

    def put(name, measure):
        monkeypatch.setitem(sys.modules, f"bench.measures.{name}", SimpleNamespace(measure=measure))

    return put


def fail():
    raise RuntimeError("no room")


def interrupt():
    raise KeyboardInterrupt


def test_one_that_fails_does_not_lose_the_others(stand_in, capsys):
    stand_in("whisper_speed", lambda: {"ratio": once(1.0)})
    stand_in("chat_speed", fail)
    stand_in("speech_beside_text", lambda: {"speech_ratio": once(1.1)})
    found = {"machine": {}}
    kept = []
    status = runner.run(NAMES, found, lambda: kept.append(list(found)[1:]))
    assert status == 1
    assert kept == [NAMES[:1], NAMES[:2], NAMES]  # after each one
    assert found["whisper_speed"]["ratio"]["median"] == 1.0
    assert found["chat_speed"] == {"error": "RuntimeError: no room"}
    assert found["speech_beside_text"]["speech_ratio"]["median"] == 1.1
    assert "no room" in capsys.readouterr().err


def test_an_interrupt_ends_the_run_and_keeps_what_was_measured(stand_in):
    stand_in("whisper_speed", lambda: {"ratio": once(1.0)})
    stand_in("chat_speed", interrupt)
    stand_in("speech_beside_text", fail)
    found = {"machine": {}}
    kept = []
    status = runner.run(NAMES, found, lambda: kept.append(list(found)[1:]))
    assert status == runner.INTERRUPTED
    assert kept == [NAMES[:1], NAMES[:2]]


def test_a_disk_that_is_full_ends_no_run(stand_in, capsys):
    stand_in("whisper_speed", lambda: {"ratio": once(1.0)})
    stand_in("chat_speed", lambda: {})
    found = {"machine": {}}

    def keep():
        raise OSError("no space left")

    assert runner.run(NAMES[:2], found, keep) == 1
    assert list(found)[1:] == NAMES[:2]
    assert "results were not written: no space left" in capsys.readouterr().err


def test_only_benchmarks_with_a_peer_set_it_up(stand_in, monkeypatch):
    ran = []
    monkeypatch.setattr(runner, "_set_up_peer", lambda: ran.append("setup"))
    for name in BENCHMARKS:
        stand_in(name, lambda name=name: ran.append(name))
    assert runner.run(list(BENCHMARKS), {"machine": {}}, lambda: None) == 0
    peered = [after for before, after in pairwise(ran) if before == "setup"]
    assert peered == list(runner.NEED_PEER)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_peer_that_is_wrong_is_not_measured_and_one_that_is_missing_says_so(
    is_there, monkeypatch, capsys
):
    def make():
        raise InstallError("no network")

    monkeypatch.setattr(environment, "make", make)
    monkeypatch.setattr(environment, "is_there", lambda: is_there)
    monkeypatch.setattr(setup, "alone", contextlib.nullcontext)
    runner._set_up_peer.cache_clear()
    with pytest.raises(InstallError) if is_there else contextlib.nullcontext():
        runner._set_up_peer()
    runner._set_up_peer.cache_clear()
    assert ("error: no network" in capsys.readouterr().err) != is_there


def test_a_folder_that_takes_no_results_is_said_before_anything_is_measured(
    stand_in, monkeypatch, tmp_path, capsys
):
    stand_in("chat_speed", lambda: pytest.fail("measured"))
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setattr(sys, "argv", ["bench", "chat_speed", "--results", str(file)])
    with pytest.raises(SystemExit) as ended:
        runner.main()
    assert ended.value.code == 2
    assert f"cannot be written to `{file}`" in capsys.readouterr().err


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

"""`--watch`: files that come are taken when they stand still, once each."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from archives import Archive, Desk

from onecard_client.__main__ import main
from onecard_client._files.selection import Problem, Selection
from onecard_client._files.watch import Watch
from tests.waiting import PATIENCE_S


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(str(tmp_path), Selection(), 1e-9, lambda problem: None)


def taken(watch: Watch) -> list[str]:
    _, ready = watch.look()
    return [Path(one.file).name for one in ready]


def test_a_file_that_grows_is_not_taken(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    assert taken(watch) == taken(watch) == []  # somebody will write it
    path.write_bytes(b"1")
    assert taken(watch) == []
    path.write_bytes(b"12")
    assert taken(watch) == []
    assert taken(watch) == ["a.wav"]
    assert taken(watch) == taken(watch) == []
    path.write_bytes(b"123")
    assert taken(watch) == []
    assert taken(watch) == ["a.wav"]


def test_what_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    told: list[Problem] = []
    watch = Watch(str(tmp_path / "gone"), Selection(), 1e-9, told.append)
    watch.look()
    watch.look()
    assert [problem.reason for problem in told] == ["No such file or directory"]


def test_until_interrupted(tmp_path: Path, fake: Any, capsys: Any) -> None:
    archive, desk = Archive(tmp_path, "a.wav", "b/b.wav"), Desk(fake)

    def fill() -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while desk.done.total() < 2 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        archive.add("b/later.wav")
        while not (archive.out / "b" / "later.txt").exists() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=fill).start()
    line = archive.line("--watch", archive.folder, "--interval", "0.05")  # and what is there
    assert main([*line, "--url", desk.url]) == 130
    assert archive.results() == ["a.txt", "b/b.txt", "b/later.txt"]
    assert set(desk.asked.values()) == {1}
    assert "the same command goes on from here" in capsys.readouterr().err


def test_a_mistyped_address_does_not_wait_for_a_file(tmp_path: Path, capsys: Any) -> None:
    line = ["transcribe", "--watch", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main([*line, "--url", "127.0.0.1:1"]) == 3
    assert "127.0.0.1:1" in capsys.readouterr().err

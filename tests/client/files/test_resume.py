"""Runs that end early, in a process of their own, and the same command again."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from archives import Archive, Desk
from commands import spawn

from onecard_client.__main__ import main
from tests.waiting import PATIENCE_S

NUM_FILES, KILLED_AT = 200, 180


def test_killed_amid_many(fake: Any, tmp_path: Path, capsys: Any) -> None:
    """It goes on from there: no file is lost, none is done twice, and no result is half there."""
    names = [f"{number % 10}/{number:03d}.wav" for number in range(NUM_FILES)]
    archive = Archive(tmp_path, *names)
    desk = Desk(fake)
    desk.stop_after = KILLED_AT
    process = spawn(desk.url, *archive.line("--verbose", "False"))
    journal = archive.out / "transcribed.jsonl"
    while not journal.exists() or journal.read_bytes().count(b"\n") < KILLED_AT:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert len(archive.results()) == KILLED_AT
    assert all((archive.out / name).read_text() for name in archive.results())
    desk.stop_after = None
    desk.asked.clear()
    assert main([*archive.line(), "--url", desk.url]) == 0
    assert f"{KILLED_AT} files were done already" in capsys.readouterr().err
    assert desk.asked.total() == NUM_FILES - KILLED_AT
    assert sorted(desk.done) == sorted(names)
    assert set(desk.done.values()) == {1}
    assert len(archive.results()) == NUM_FILES


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(number: signal.Signals, code: int, fake: Any, tmp_path: Path) -> None:
    archive = Archive(tmp_path, *(f"{number}.wav" for number in range(8)))
    desk = Desk(fake)
    desk.stop_after = 3
    process = spawn(desk.url, *archive.line())
    while desk.asked.total() < 6:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, errors
    assert "3 files done; the same command goes on from here" in errors
    assert "Traceback" not in errors
    assert desk.server.cancelled.wait(PATIENCE_S)
    assert len(archive.results()) == 3
    desk.stop_after = None
    assert main([*archive.line(), "--url", desk.url]) == 0
    assert set(desk.done.values()) == {1}
    assert len(desk.done) == 8

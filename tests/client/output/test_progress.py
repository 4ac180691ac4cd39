"""Progress on standard error: a bar, lines, or nothing."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from commands import Terminal

from onecard_client import Progress
from onecard_client._output import progress


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    bar = progress.display("talk.wav", wanted=None, verbose=True)
    bar.show(Progress("recognize", 1, 4))
    bar.show(Progress("recognize", 4, 4))
    bar.clear()
    drawn = terminal.getvalue().split("\r\033[K")
    assert drawn[1].startswith("talk.wav: recognize [######..................]  25%")
    assert "[########################] 100%" in drawn[2]
    assert max(map(len, drawn)) < 60
    assert drawn[-1] == ""


def test_count_where_nobody_knows_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress.display("triage", wanted=None, verbose=True)
    bar.show(Progress("reading", 17, 0))
    for done in range(18, 40):  # no more often than anything else
        bar.show(Progress("reading", done, 0))
    assert terminal.getvalue() == "\r\033[Ktriage: reading 17 0:00"


def test_lines_elsewhere(capsys: Any) -> None:
    lines = progress.display("talk.wav", wanted=None, verbose=True)
    for done in (0, 2, 4, 4):
        lines.show(Progress("recognize", done, 4))
    lines.show(Progress("align", 0, 0))
    lines.clear()
    assert capsys.readouterr().err == "talk.wav: recognize\ntalk.wav: align\n"


@pytest.mark.parametrize(
    ("wanted", "verbose", "shown"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_who_decides_about_progress(
    wanted: bool | None, verbose: bool, shown: bool, capsys: Any
) -> None:
    progress.display("talk.wav", wanted=wanted, verbose=verbose).show(Progress("align", 1, 1))
    assert bool(capsys.readouterr().err) == shown

"""RTTM is read whole or refused with the line: no turn of a reference is lost in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import rttm
from evaluation.metrics import Turn

TURN = "SPEAKER talk 1 0.500 1.500 <NA> <NA> {} <NA> <NA>\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.rttm"


@pytest.mark.parametrize(
    "before",
    [
        "",
        ";; a comment may be a sentence with as many words as whoever wrote it wanted\n",
        "SPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA> <NA>\n\n",
    ],
)
def test_turns_are_read_and_other_lines_passed_over(path: Path, before: str) -> None:
    path.write_text(before + TURN.format("anna"))
    assert rttm.read(path) == {"talk": (Turn(0.5, 2.0, "anna"),)}


@pytest.mark.parametrize("speaker", ["NA", "nan", "null", "7", '"ann'])
def test_a_speaker_may_have_any_name(path: Path, speaker: str) -> None:
    path.write_text(TURN.format(speaker) + TURN.format("bea"))
    assert [turn.speaker for turn in rttm.read(path)["talk"]] == [speaker, "bea"]


@pytest.mark.parametrize(
    "line",
    [
        "SPEAKER talk 1 0.5\n",
        "SPEAKER talk 1 half 1.5 <NA> <NA> anna <NA> <NA>\n",
        "hello world\n",
    ],
)
def test_a_line_that_is_none_of_rttm_s_is_named(path: Path, line: str) -> None:
    path.write_text(TURN.format("anna") + line)
    with pytest.raises(ValueError, match=r"talk.rttm`, line 2 is"):
        rttm.read(path)

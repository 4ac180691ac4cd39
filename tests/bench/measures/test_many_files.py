"""What P10 says of the sides that it measured, and the clips that they get."""

from __future__ import annotations

from typing import Any

import pytest

from bench.measures import many_files


def test_ratios_are_of_rounds(capsys: Any) -> None:
    sides = {"one_by_one": [14.0, 26.0], "jobs": [10.0, 20.0], "whisperx": [30.0, 70.0]}
    found = many_files.summary(sides, 1050.0, 40, 3)
    assert found["jobs_ratio"]["median"] == pytest.approx(1.35)
    assert found["whisperx_ratio"]["low"] == pytest.approx(3.0)
    assert "1.35 times as fast as one after another" in capsys.readouterr().out


def test_without_a_peer_the_rest_is_there(capsys: Any) -> None:
    found = many_files.summary({"one_by_one": [14.0], "jobs": [10.0]}, 1050.0, 40, 3)
    assert found["jobs_ratio"]["median"] == pytest.approx(1.4)
    assert "whisperx_ratio" in found["skipped"]
    assert "WhisperX is not there" in capsys.readouterr().out


def test_there_are_forty_clips() -> None:
    assert len(many_files.LENGTHS_S) == 40

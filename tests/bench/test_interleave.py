"""Sides in turn, and the arithmetic of what they measured."""

from __future__ import annotations

import pytest

from bench import interleave


def test_sides_take_turns_and_warm_ups_do_not_count():
    calls: list[str] = []

    def side(name):
        calls.append(name)
        return len(calls)

    found = interleave.interleaved(
        {"a": lambda: side("a"), "b": lambda: side("b")}, rounds=2, warmups=1
    )
    assert calls == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}


def test_a_ratio_is_that_of_its_round():
    # The machine became twice as slow in the second round; each round says the same.
    assert interleave.ratios([1.0, 2.0], [2.0, 4.0]) == [0.5, 0.5]
    assert interleave.differences([3.0, 5.0], [1.0, 2.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="zip"):
        interleave.ratios([1.0], [1.0, 2.0])


def test_a_spread_is_the_median_between_the_extremes():
    found = interleave.spread([4.0, 1.0, 3.0, 100.0])
    assert found == {"median": 3.5, "low": 1.0, "high": 100.0, "rounds": 4}
    assert interleave.once(2.0) == {"median": 2.0, "low": 2.0, "high": 2.0, "rounds": 1}
    with pytest.raises(ValueError, match="no round"):
        interleave.spread([])


def test_quick_means_fewer_rounds_and_never_more(monkeypatch):
    monkeypatch.delenv(interleave.QUICK, raising=False)
    assert interleave.num_rounds(5) == 5
    monkeypatch.setenv(interleave.QUICK, "1")
    assert interleave.num_rounds(5) == interleave.QUICK_ROUNDS
    assert interleave.num_rounds(1) == 1

"""Replicas for a load: Kubernetes' formula, and a day of scrapes replayed."""

from __future__ import annotations

import math

import pytest

from build_scripts.fleet.replicas import Scaling, for_users, replayed, wanted

# 29 s of audio a second, cleared within two minutes: a 3090 as it is planned.
SCALING = Scaling(audio_seconds_per_replica=3480, max_replicas=8, scale_down_after_s=900)


@pytest.mark.parametrize(
    ("left_s", "current", "expected"),
    [
        (0, 3, 1),  # never none
        (3480, 1, 1),
        (3800, 1, 1),  # within a tenth
        (3900, 1, 2),
        (21_600, 1, 7),  # one file of six hours, which is one request
        (8 * 60, 1, 1),  # eight clips of a minute, which are eight
        (10**9, 1, 8),  # never more than the most
        (2.9 * 3480, 3, 3),
        (2.1 * 3480, 3, 3),
        (1.9 * 3480, 3, 2),
    ],
)
def test_seconds_of_audio_decide_and_no_count(left_s: float, current: int, expected: int) -> None:
    assert wanted(left_s, current, SCALING) == expected


@pytest.mark.parametrize("left_s", [-1.0, math.nan, math.inf])
def test_a_load_that_is_none_is_refused(left_s: float) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        wanted(left_s, 1, SCALING)


@pytest.mark.parametrize(
    "wrong",
    [{"audio_seconds_per_replica": 0}, {"audio_seconds_per_replica": 1, "min_replicas": 0},
     {"audio_seconds_per_replica": 1, "min_replicas": 5, "max_replicas": 4}],
)  # fmt: skip
def test_limits_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Scaling(**wrong)  # type: ignore[arg-type]


def test_a_peak_is_met_at_once_and_given_back_late() -> None:
    scrapes = [(0.0, 0.0), (30.0, 12_000.0), (60.0, 9_000.0), (90.0, 0.0)]
    scrapes += [(float(now_s), 0.0) for now_s in range(120, 1200, 30)]
    found = replayed(scrapes, SCALING)
    assert found[:4] == [1, 4, 4, 4]
    kept_until_s = max(
        now_s for (now_s, _), number in zip(scrapes, found, strict=True) if number > 1
    )
    assert kept_until_s >= 900
    assert found[-1] == 1


def test_a_load_that_trembles_does_not_flap() -> None:
    trembling = [(30.0 * step, 7_000.0 + (300 if step % 2 else -300)) for step in range(100)]
    assert set(replayed(trembling, SCALING)) == {2}


def test_users_share_servers_by_what_each_wants() -> None:
    by_a_server = (
        1217,
        372,
        479,
    )  # minutes of audio, emails, answers an hour: docs/gpu/capacity.md
    assert for_users(27, (10, 6, 6), by_a_server) == 1
    assert for_users(28, (10, 6, 6), by_a_server) == 2
    assert for_users(1, (0, 0, 0), by_a_server) == 1

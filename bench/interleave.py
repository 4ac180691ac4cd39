"""Sides measured in turn, A B A B, and what came of it: ratios round by round, their spread.

A machine's speed drifts (heat, neighbours, caches). Sides that take turns drift together, so that a
ratio of the same round holds where the ratio of two averages would not.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, TypeVar

QUICK = "BENCH_QUICK"  # in the environment; `--quick` sets it
QUICK_ROUNDS = 2

Outcome = TypeVar("Outcome")


class Spread(TypedDict):
    """A figure as it is kept: the median of its rounds, the least and the greatest."""

    median: float
    low: float
    high: float
    rounds: int


def is_quick() -> bool:
    """Whether a rough figure soon is wanted, rather than a good one."""
    return bool(os.environ.get(QUICK))


def num_rounds(full: int) -> int:
    """`full`, or fewer where it has to be quick."""
    return min(full, QUICK_ROUNDS) if is_quick() else full


def interleaved(
    sides: Mapping[str, Callable[[], Outcome]], rounds: int, warmups: int = 1
) -> dict[str, list[Outcome]]:
    """Call every side once a round, in order, `warmups + rounds` times.

    Returns:
        What each side returned, by name, without the warm-ups; as many of each as `rounds`.
    """
    found: dict[str, list[Outcome]] = {name: [] for name in sides}
    for number in range(warmups + rounds):
        for name, side in sides.items():
            outcome = side()
            if number >= warmups:
                found[name].append(outcome)
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started_s = time.monotonic()
    work()
    return time.monotonic() - started_s


def ratios(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """`these` over `those`, round by round."""
    return [this / that for this, that in zip(these, those, strict=True)]


def differences(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """`these` less `those`, round by round."""
    return [this - that for this, that in zip(these, those, strict=True)]


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest. Raises ValueError without values."""
    if not values:
        raise ValueError("no round was measured")
    return Spread(
        median=statistics.median(values), low=min(values), high=max(values), rounds=len(values)
    )


def once(value: float) -> Spread:
    """A figure that was measured once."""
    return spread([value])

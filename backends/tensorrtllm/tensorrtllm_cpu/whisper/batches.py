"""Which waiting requests run together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Items of equal key together; groups in the order of their first item."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def fitted(
    items: Sequence[Item],
    costs: Callable[[Item], tuple[int, ...]],
    capacity: int | None,
    max_size: int,
) -> list[list[Item]]:
    """Consecutive batches of at most `max_size` items, none of whose summed costs exceeds
    `capacity` (None: no cap). An item that alone costs more gets a batch of its own.
    """
    batches: list[list[Item]] = []
    totals: tuple[int, ...] = ()
    for item in items:
        cost = costs(item)
        grown = tuple(map(sum, zip(totals, cost, strict=True))) if batches else cost
        is_full = capacity is not None and max(grown) > capacity
        if not batches or len(batches[-1]) == max_size or is_full:
            batches.append([item])
            totals = cost
        else:
            batches[-1].append(item)
            totals = grown
    return batches


def parts(items: Sequence[Item], count: int) -> list[Sequence[Item]]:
    """At most `count` parts, each with an item at least, none with two more than another."""
    return [items[start::count] for start in range(min(count, len(items)))]

"""Metrics on their way to Triton: changes are gathered, and published by one thread.

Triton's Python backend sends each value to the server and waits for its answer. So no request
waits for a metric, many changes are one message, and who is idle sends nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from onecard.metrics.families import COMMON, Family

PAUSE_S = 0.1  # between two publications: how old a value may be
TICK_S = 1.0  # how often what grows by itself is published

Key = tuple[Family, tuple[str, ...]]  # a family, and the values of its labels


class Metric(Protocol):
    """A gauge, which is set, a counter, which is incremented, or a histogram, which observes."""

    def set(self, value: float) -> None: ...
    def increment(self, value: float) -> None: ...
    def observe(self, value: float) -> None: ...


Create = Callable[[Family, Mapping[str, str]], Metric]


class Board:
    """The metrics of one model instance.

    Args:
        create: makes a metric with these labels.
        labels: values of `COMMON`.
        gauges: the gauges' values now, and whether they change with time alone.
        warn: told once, in words, that metrics cannot be published.
    """

    def __init__(
        self,
        create: Create,
        labels: tuple[str, ...],
        gauges: Callable[[], tuple[Mapping[Key, float], bool]],
        warn: Callable[[str], None],
    ) -> None:
        self._create, self._gauges, self._warn = create, gauges, warn
        self._labels = dict(zip(COMMON, labels, strict=True))
        self._metrics: dict[Key, Metric] = {}
        self._published: dict[Key, float] = {}
        self._shown: list[Key] = []
        self._added: dict[Key, float] = {}
        self._observed: list[tuple[Key, float]] = []
        self._is_changed, self._is_closed, self._is_broken = True, False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def show(self, family: Family, *labels: str) -> None:
        """Have a counter or histogram be there before there is anything to count."""
        with self._changed:
            self._shown.append((family, labels))
            self._is_changed = True
            self._changed.notify_all()

    def change(self) -> None:
        """Have the gauges read again soon."""
        with self._changed:
            self._is_changed = True
            self._changed.notify_all()

    def add(self, family: Family, *labels: str, amount: float = 1.0) -> None:
        """Count `amount`."""
        with self._changed:
            self._added[family, labels] = self._added.get((family, labels), 0.0) + amount
            self._is_changed = True
            self._changed.notify_all()

    def observe(self, value: float, family: Family, *labels: str) -> None:
        with self._changed:
            if not self._is_broken:
                self._observed.append(((family, labels), value))
            self._is_changed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Publish what is left, then let go of all metrics, which Triton wants before it ends."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self._metrics.clear()
        del self._create  # it may hold what metrics belong to

    def _run(self) -> None:
        does_tick = False
        while not self._is_broken:
            with self._changed:
                self._changed.wait_for(self._is_due, TICK_S if does_tick else None)
                is_last = self._is_closed
                self._is_changed = False
                shown, self._shown = self._shown, []
                added, self._added = self._added, {}
                observed, self._observed = self._observed, []
            try:
                for key in shown:
                    self._metric(key)
                does_tick = self._publish(added, observed)
            except Exception as error:  # Triton's; the model's work goes on without metrics
                self._is_broken = True
                self._warn(f"metrics are published no more: {error}")
            if is_last:
                return
            time.sleep(PAUSE_S)

    def _is_due(self) -> bool:
        return self._is_changed or self._is_closed

    def _publish(self, added: Mapping[Key, float], observed: list[tuple[Key, float]]) -> bool:
        for key, amount in added.items():
            self._metric(key).increment(amount)
        for key, value in observed:
            self._metric(key).observe(value)
        gauges, does_tick = self._gauges()
        for key, value in gauges.items():
            if self._published.get(key) != value:
                self._metric(key).set(value)
                self._published[key] = value
        return does_tick

    def _metric(self, key: Key) -> Metric:
        if key not in self._metrics:
            family, values = key
            labels = {**self._labels, **dict(zip(family.labels, values, strict=True))}
            self._metrics[key] = self._create(family, labels)
        return self._metrics[key]

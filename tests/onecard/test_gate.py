"""Order, number of places, and that nobody waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from onecard.gate import Gate


class Crowd:
    """Threads that all want through a gate which is held meanwhile; `order`: how they got in."""

    def __init__(self, gate: Gate, amounts: list[float]) -> None:
        self.order: list[float] = []
        with gate.turn(0):
            threads = [self._start(gate, amount) for amount in amounts]
        for thread in threads:
            thread.join(10)

    def _start(self, gate: Gate, amount: float) -> threading.Thread:
        def go() -> None:
            with gate.turn(amount):
                self.order.append(amount)

        num_waiting = len(gate._waiting)
        thread = threading.Thread(target=go)
        thread.start()
        while len(gate._waiting) == num_waiting:
            time.sleep(0.001)
        return thread


def test_whoever_has_least_left_goes_first() -> None:
    assert Crowd(Gate(), [3, 1, 2]).order == [1, 2, 3]


def test_equals_go_in_order_of_arrival() -> None:
    assert Crowd(Gate(), [2, 1.0, 1.0, 1.0]).order[:3] == [1.0, 1.0, 1.0]


def test_a_long_one_is_not_kept_for_ever() -> None:
    order = Crowd(Gate(), [100, *range(1, 20)]).order
    assert order.index(100) < 5
    assert sorted(order) == [*range(1, 20), 100]


def test_only_so_many_are_inside_at_a_time() -> None:
    gate, inside, most = Gate(places=2), 0, 0
    lock = threading.Lock()

    def go() -> None:
        nonlocal inside, most
        with gate.turn(1):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 2


def test_a_place_is_free_again_after_an_error() -> None:
    gate = Gate()
    with pytest.raises(ZeroDivisionError), gate.turn(1):
        1 / 0  # noqa: B018
    with gate.turn(1):
        pass

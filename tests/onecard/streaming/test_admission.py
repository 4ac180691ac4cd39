"""Order, number of places, and that nobody waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from onecard.streaming.admission import Gate


def one(places: int = 1) -> Gate:
    return Gate(places, {"lane": places})


def go_on() -> None:
    """There is still need to wait."""


class Crowd:
    """Threads that all want through a gate which is held meanwhile; `order`: how they got in."""

    def __init__(self, gate: Gate, amounts: list[float]) -> None:
        self.order: list[float] = []
        with gate.turn("lane", 0, go_on):
            threads = [self._start(gate, amount) for amount in amounts]
        for thread in threads:
            thread.join(10)

    def _start(self, gate: Gate, amount: float) -> threading.Thread:
        def go() -> None:
            with gate.turn("lane", amount, go_on):
                self.order.append(amount)

        num_waiting = len(gate._waiting)
        thread = threading.Thread(target=go)
        thread.start()
        while len(gate._waiting) == num_waiting:
            time.sleep(0.001)
        return thread


def test_whoever_has_least_left_goes_first() -> None:
    assert Crowd(one(), [3, 1, 2]).order == [1, 2, 3]


def test_equals_go_in_order_of_arrival() -> None:
    assert Crowd(one(), [2, 1.0, 1.0, 1.0]).order[:3] == [1.0, 1.0, 1.0]


def test_a_long_one_is_not_kept_for_ever() -> None:
    order = Crowd(one(), [100, *range(1, 20)]).order
    assert order.index(100) < 5
    assert sorted(order) == [*range(1, 20), 100]


def test_only_so_many_are_inside_at_a_time() -> None:
    gate, inside, most = one(places=2), 0, 0
    lock = threading.Lock()

    def go() -> None:
        nonlocal inside, most
        with gate.turn("lane", 1, go_on):
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
    gate = one()
    with pytest.raises(ZeroDivisionError), gate.turn("lane", 1, go_on):
        1 / 0  # noqa: B018
    with gate.turn("lane", 1, go_on):
        pass


def test_a_lane_that_is_full_does_not_hold_up_another() -> None:
    gate = Gate(2, {"narrow": 1, "wide": 2})
    with gate.turn("narrow", 5, go_on):
        crowd = threading.Thread(target=lambda: gate.turn("narrow", 1, go_on).__enter__())
        crowd.start()
        while not gate._waiting:
            time.sleep(0.001)
        with gate.turn("wide", 9, go_on):
            assert len(gate._waiting) == 1
        assert crowd.is_alive()
    crowd.join(10)
    assert not crowd.is_alive()


def test_who_need_not_wait_any_more_leaves_the_queue() -> None:
    gate = one()

    def gone() -> None:
        raise InterruptedError

    with gate.turn("lane", 5, go_on):
        with pytest.raises(InterruptedError), gate.turn("lane", 1, gone):
            pass
        assert not gate._waiting
    with gate.turn("lane", 1, go_on):
        pass

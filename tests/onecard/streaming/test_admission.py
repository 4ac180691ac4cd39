"""Order, number of places, and that nobody waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from onecard.streaming.admission import Admission
from tests.waiting import PATIENCE_S, until


def one(places: int = 1) -> Admission:
    return Admission(places, {"lane": places})


def go_on() -> None:
    """There is still need to wait."""


class Crowd:
    """Threads that all wait for a turn which is held meanwhile; `order`: how they got it."""

    def __init__(self, admission: Admission, amounts: list[float]) -> None:
        self.order: list[float] = []
        with admission.turn("lane", 0, go_on):
            threads = [self._start(admission, amount) for amount in amounts]
        for thread in threads:
            thread.join(PATIENCE_S)

    def _start(self, admission: Admission, amount: float) -> threading.Thread:
        def go() -> None:
            with admission.turn("lane", amount, go_on):
                self.order.append(amount)

        num_waiting = len(admission._waiting)
        thread = threading.Thread(target=go)
        thread.start()
        while len(admission._waiting) == num_waiting:
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
    admission, inside, most = one(places=2), 0, 0
    lock = threading.Lock()

    def go() -> None:
        nonlocal inside, most
        with admission.turn("lane", 1, go_on):
            with lock:
                inside += 1
                most = max(most, inside)
            until(lambda: most > 1)
            time.sleep(0.01)  # time enough for a third one
            with lock:
                inside -= 1

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert most == 2


def test_a_place_is_free_again_after_an_error() -> None:
    admission = one()
    with pytest.raises(ZeroDivisionError), admission.turn("lane", 1, go_on):
        1 / 0  # noqa: B018
    with admission.turn("lane", 1, go_on):
        pass


def test_a_lane_that_is_full_does_not_hold_up_another() -> None:
    admission = Admission(2, {"narrow": 1, "wide": 2})
    with admission.turn("narrow", 5, go_on):
        crowd = threading.Thread(target=lambda: admission.turn("narrow", 1, go_on).__enter__())
        crowd.start()
        while not admission._waiting:
            time.sleep(0.001)
        with admission.turn("wide", 9, go_on):
            assert len(admission._waiting) == 1
        assert crowd.is_alive()
    crowd.join(PATIENCE_S)
    assert not crowd.is_alive()


def test_who_need_not_wait_any_more_leaves_the_queue() -> None:
    admission = one()

    def gone() -> None:
        raise InterruptedError

    with admission.turn("lane", 5, go_on):
        with pytest.raises(InterruptedError), admission.turn("lane", 1, gone):
            pass
        assert not admission._waiting
    with admission.turn("lane", 1, go_on):
        pass

"""Ctrl-C while gRPC is at work."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import grpc
import pytest
from fake_server import ANSWER, DELTAS, PATIENCE_S, events, hangs

from onecard_client import Client
from onecard_client._transport.interrupt import Terminated, held_back, raised


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_is_raised_at_the_end_and_not_before() -> None:
    order: list[str] = []

    def work() -> None:
        press()
        order.append("went on")

    with pytest.raises(KeyboardInterrupt), held_back(lambda: order.append("cancelled")):
        work()
    assert order == ["cancelled", "went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ending_signal_is_raised_at_the_end_and_not_before(number: signal.Signals) -> None:
    order: list[str] = []

    def work() -> None:
        os.kill(os.getpid(), number)
        order.append("went on")

    with pytest.raises(Terminated) as ended, raised(), held_back(lambda: order.append("cancelled")):
        work()
    assert order == ["cancelled", "went on"]
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) is signal.SIG_DFL


def test_ending_signal_between_calls_is_raised_at_once_and_once() -> None:
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # whoever is impatient tears nothing

    with pytest.raises(Terminated), raised():
        work()


def test_interrupt_hides_the_error_of_the_call_that_it_cancelled() -> None:
    def work() -> None:
        press()
        raise grpc.RpcError

    with pytest.raises(KeyboardInterrupt), held_back():
        work()


def test_without_an_interrupt_errors_pass() -> None:
    with pytest.raises(grpc.RpcError), held_back():
        raise grpc.RpcError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handler_of_the_program_is_left_alone() -> None:
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        with held_back(lambda: pytest.fail("not ours to cancel")):
            press()
        assert pressed == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone(fake: Any) -> None:
    texts: list[str] = []
    with Client(fake(events(*ANSWER)).url) as client:
        thread = threading.Thread(target=lambda: texts.extend(client.chat("Hello")))
        thread.start()
        thread.join()
    assert texts == ["Good ", "day."]


@pytest.mark.parametrize("step", [hangs, events(*DELTAS, then=hangs)], ids=["before", "amid"])
def test_interrupt_amid_a_call_cancels_it(step: Any, fake: Any) -> None:
    server = fake(step)

    def press_when_asked() -> None:
        while not server.requests:
            time.sleep(0.01)
        press()

    with Client(server.url) as client:
        thread = threading.Thread(target=press_when_asked)
        thread.start()
        with pytest.raises(KeyboardInterrupt), client.chat("Hello") as answer:
            list(answer)
        thread.join()
        assert server.cancelled.wait(PATIENCE_S)

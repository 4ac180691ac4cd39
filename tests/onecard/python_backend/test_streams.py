"""Streams run, wait, end and are cancelled; nobody is left without an end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.metrics.record import Origin
from onecard.python_backend.streams import Stream, Streams, whole
from tests.waiting import PATIENCE_S


class FakeCaller:
    """Stands in for a request of Triton's, which must not be touched once it was told the end."""

    origin = Origin()

    def __init__(self, timeout_s: float | None = None) -> None:
        self.timeout_s = timeout_s
        self.events: list[object] = []
        self.ends: list[Exception | None] = []
        self.has_ended = threading.Event()
        self.has_left = False

    def is_gone(self) -> bool:
        assert not self.ends, "asked after the end"
        return self.has_left

    def send(self, event: object) -> None:
        assert not self.ends, "an event after the end"
        self.events.append(event)

    def end(self, error: Exception | None) -> None:
        self.ends.append(error)
        self.has_ended.set()

    def wait(self) -> FakeCaller:
        assert self.has_ended.wait(PATIENCE_S), "the stream was left open"
        return self


class Gate:
    """An answer that goes on when it is let."""

    def __init__(self) -> None:
        self.is_open = threading.Event()
        self.has_begun = threading.Event()
        self.was_closed = False

    def answer(self, stream: Stream):
        try:
            self.has_begun.set()
            yield {"event": "begun"}
            while not self.is_open.wait(0.005):
                stream.check()
            yield {"event": "over"}
        finally:
            self.was_closed = True


@pytest.fixture
def make():
    """`Streams` that are closed after the test."""
    made: list[Streams] = []

    def streams(max_running: int = 2, max_waiting: int = 0, clock=time.monotonic) -> Streams:
        made.append(Streams("talks", max_running, max_waiting, clock))
        return made[-1]

    yield streams
    for streams in made:
        streams.close()


def add(streams: Streams, answer: Callable, rank: int = 0, **caller: float) -> FakeCaller:
    found = FakeCaller(**caller)
    streams.add(Stream(found, answer), rank)
    return found


def test_events_and_then_the_end(make):
    def answer(stream):
        yield {"n": 1}
        yield {"n": 2}

    caller = add(make(), answer).wait()
    assert caller.events == [{"n": 1}, {"n": 2}]
    assert caller.ends == [None]


def test_an_error_is_the_end_of_its_own_stream_alone(make):
    def fails(stream):
        yield {"n": 1}
        raise InvalidRequest("no")

    def cannot_begin(stream):
        raise ValueError("never")

    streams, gate = make(3), Gate()
    other = add(streams, gate.answer)
    first, second = add(streams, fails).wait(), add(streams, cannot_begin).wait()
    assert first.events == [{"n": 1}]
    assert isinstance(first.ends[0], InvalidRequest)
    assert isinstance(second.ends[0], ValueError)
    gate.is_open.set()
    assert other.wait().ends == [None]


def test_an_answer_is_closed_when_its_events_cannot_be_sent(make):
    class Deaf(FakeCaller):
        def send(self, event):
            raise OSError("cannot send")

    gate, caller = Gate(), Deaf()
    make().add(Stream(caller, gate.answer))
    assert isinstance(caller.wait().ends[0], OSError)
    assert gate.was_closed


def test_all_events_may_be_told_as_one(make):
    def answer(stream):
        yield {"n": 1}
        yield {"n": 2}

    def fails(stream):
        yield {"n": 1}
        raise InvalidRequest("no")

    def joined(events):
        return {"sum": sum(event.get("n", 0) for event in events)}

    def folded(answer):
        return lambda stream: whole(answer(stream), joined)

    streams, gate = make(3), Gate()
    assert add(streams, folded(answer)).wait().events == [{"sum": 3}]
    failed = add(streams, folded(fails)).wait()
    assert failed.events == []
    assert isinstance(failed.ends[0], InvalidRequest)
    left = add(streams, folded(gate.answer))
    assert gate.has_begun.wait(PATIENCE_S)
    left.has_left = True
    assert isinstance(left.wait().ends[0], Cancelled)
    assert gate.was_closed


def test_who_cannot_have_a_thread_is_refused(make, monkeypatch):
    streams, gate = make(1, 1), Gate()
    running, waiting = add(streams, gate.answer), add(streams, gate.answer)

    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    gate.is_open.set()
    assert running.wait().ends == [None]
    unlucky = [waiting.wait(), add(streams, gate.answer).wait()]
    monkeypatch.undo()
    for caller in unlucky:
        assert isinstance(caller.ends[0], Unavailable)
        assert "no thread could be had" in str(caller.ends[0])
    assert add(streams, gate.answer).wait().ends == [None]


def test_more_than_may_run_and_wait_are_refused(make):
    streams, gate = make(1, 1), Gate()
    running, waiting = add(streams, gate.answer), add(streams, gate.answer)
    refused = add(streams, gate.answer).wait()
    assert isinstance(refused.ends[0], Unavailable)
    assert str(refused.ends[0]).startswith("1 talks are running and 1 wait, which is the limit")
    gate.is_open.set()
    assert (running.wait().ends, waiting.wait().ends) == ([None], [None])


def test_those_that_wait_go_by_rank_and_then_by_arrival(make):
    ranks = {"low 1": 2, "normal 1": 1, "high 1": 0, "low 2": 2, "normal 2": 1, "high 2": 0}
    arrivals = [(name, rank, 0.0) for name, rank in ranks.items()]
    order = order_of(make, arrivals)
    assert order == ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]


def test_those_of_a_high_rank_do_not_keep_others_out_for_ever(make):
    steady = [(f"high {second}", 0, float(second)) for second in range(3, 40)]
    order = order_of(make, [("low", 2, 0.0), ("normal", 1, 2.0), *steady])
    assert order.index("normal") == 9  # behind those that came in the 10 s after it
    assert order.index("low") == 18  # and in the 20 s
    assert order[-1] == "high 39"


def order_of(make, arrivals) -> list[str]:
    """In which those that come while one runs, each a name, a rank and a time, have their turn."""
    now = [0.0]
    streams, gate = make(1, len(arrivals), lambda: now[0]), Gate()
    callers = [add(streams, gate.answer)]
    order: list[str] = []

    def named(name: str) -> Callable:
        def answer(stream):
            order.append(name)
            yield {}

        return answer

    for name, rank, arrival_s in sorted(arrivals, key=lambda arrival: arrival[2]):
        now[0] = arrival_s
        callers.append(add(streams, named(name), rank))
    gate.is_open.set()
    for caller in callers:
        caller.wait()
    return order


def test_whoever_has_its_end_may_ask_again_at_once(make):
    streams = make(1)

    def answer(stream):
        yield {}

    for _ in range(200):
        assert add(streams, answer).wait().ends == [None]


def test_a_caller_that_leaves_cancels_its_stream(make):
    gate = Gate()
    caller = add(make(), gate.answer)
    assert gate.has_begun.wait(PATIENCE_S)
    caller.has_left = True
    assert isinstance(caller.wait().ends[0], Cancelled)
    assert gate.was_closed


def test_a_caller_that_leaves_while_it_waits_never_begins(make):
    streams, gate, never = make(1, 1), Gate(), Gate()
    running, waiting = add(streams, gate.answer), add(streams, never.answer)
    waiting.has_left = True
    assert isinstance(waiting.wait().ends[0], Cancelled)
    after = add(streams, gate.answer)  # its place is free
    gate.is_open.set()
    assert (running.wait().ends, after.wait().ends) == ([None], [None])
    assert not never.has_begun.is_set()


def test_time_that_is_up_says_so(make):
    streams, gate = make(1, 1), Gate()
    running, waiting = (add(streams, gate.answer, timeout_s=s) for s in (0.2, 0.1))
    for caller, seconds in ((waiting, 0.1), (running, 0.2)):
        error = caller.wait().ends[0]
        assert isinstance(error, Cancelled)
        assert f"timeout of {seconds} s" in str(error)


def test_what_blocks_is_stopped_until_it_lets_go(make):
    """The first call to stop comes too early here, as it may in an engine, and is lost."""
    stopped = threading.Semaphore(0)

    def answer(stream):
        with stream.stopping(stopped.release):
            for _ in range(3):
                assert stopped.acquire(timeout=PATIENCE_S)
        stream.check()
        yield {}

    caller = add(make(), answer)
    caller.has_left = True
    assert isinstance(caller.wait().ends[0], Cancelled)
    assert caller.events == []


def test_a_stop_that_fails_is_tried_again(make):
    calls: list[float] = []

    def answer(stream):
        over = threading.Event()

        def stop() -> None:
            calls.append(time.monotonic())
            if len(calls) < 2:
                raise RuntimeError("not now")
            over.set()

        with stream.stopping(stop):
            assert over.wait(PATIENCE_S)
        yield {}

    caller = add(make(), answer)
    caller.has_left = True
    caller.wait()
    assert len(calls) >= 2


def test_nothing_begins_for_a_caller_who_is_gone(make):
    begun: list[bool] = []

    def answer(stream):
        while not stream.is_cancelled:
            time.sleep(0.005)
        with stream.stopping(lambda: None):
            begun.append(True)
        yield {}

    caller = add(make(), answer)
    caller.has_left = True
    assert isinstance(caller.wait().ends[0], Cancelled)
    assert not begun


def test_closing_waits_for_all(make):
    streams, gate = Streams("talks", 1, 3), Gate()
    callers = [add(streams, gate.answer) for _ in range(4)]
    closing = threading.Thread(target=streams.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    gate.is_open.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert [caller.ends for caller in callers] == [[None]] * 4


def test_many_at_a_time_each_end_once(make):
    streams = make(8, 1000)
    callers = []
    for index in range(300):
        gate = Gate()
        gate.is_open.set()
        callers.append(add(streams, gate.answer, index % 3))
        callers[-1].has_left = index % 7 == 0
    for caller in callers:
        assert len(caller.wait().ends) == 1


def test_a_process_outlives_its_closed_streams():
    """The watchdog ends processes that hang; one that is done with its streams does not hang."""
    code = (
        "import threading, time; from onecard.python_backend import streams; streams.HUNG_S = 0.5\n"
        "from onecard.metrics.record import Origin\n"
        "class Caller:\n"
        "    timeout_s, ended, origin = None, threading.Event(), Origin()\n"
        "    def is_gone(self): return False\n"
        "    def send(self, event): pass\n"
        "    def end(self, error): self.ended.set()\n"
        "def answer(stream):\n"
        "    time.sleep(0.2)\n"
        "    yield {}\n"
        "talks = streams.Streams('talks', 1)\n"
        "talks.add(streams.Stream(Caller(), answer))\n"
        "Caller.ended.wait()\n"
        "talks.close(); time.sleep(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)

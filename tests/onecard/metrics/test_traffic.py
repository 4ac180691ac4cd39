"""Gauges and counters follow requests through whatever becomes of them, and end at 0."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pytest

from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.metrics.families import COMMON, FAMILIES, Family
from onecard.metrics.traffic import Traffic, Visit
from onecard.python_backend.streams import Stream, Streams
from onecard.triage.request import counted
from tests.onecard.python_backend.test_streams import FakeCaller, Gate
from tests.waiting import until


class Scrape:
    """Stands in for Triton: refuses what the real one refuses of each kind."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}
        self.observed: dict[tuple[str, ...], list[float]] = {}
        self.shown: set[tuple[str, ...]] = set()
        self.num_messages = 0

    def __call__(self, family: Family, labels: Mapping[str, str]) -> Metric:
        assert family in FAMILIES
        assert set(labels) == {*COMMON, *family.labels}
        found = Metric(self, family, tuple(labels[name] for name in family.labels))
        self.shown.add(found.key)
        return found

    def get(self, name: str, *labels: str) -> float:
        return self.values.get((name, *labels), 0.0)


class Metric:
    def __init__(self, scrape: Scrape, family: Family, labels: tuple[str, ...]) -> None:
        self.scrape, self.family, self.key = scrape, family, (family.name, *labels)

    def set(self, value: float) -> None:
        assert self.family.kind == "gauge"
        self.scrape.num_messages += 1
        self.scrape.values[self.key] = value

    def increment(self, value: float) -> None:
        assert self.family.kind == "counter"
        assert value >= 0
        self.scrape.num_messages += 1
        self.scrape.values[self.key] = self.scrape.get(*self.key) + value

    def observe(self, value: float) -> None:
        assert self.family.kind == "histogram"
        self.scrape.num_messages += 1
        self.scrape.observed.setdefault(self.key, []).append(value)


class Counted:
    """Traffic, a clock that is set, and what a scrape would show."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.warnings: list[str] = []
        self.scrape = Scrape()
        self.traffic = Traffic(
            self.scrape, "talk", "talk_0_0", ("align",), self.warnings.append, lambda: self.now_s
        )

    def until(self, expected: Mapping[tuple[str, ...], float]) -> None:
        until(
            lambda: {key: self.scrape.get(*key) for key in expected} == expected,
            lambda: self.scrape.values,
        )

    def until_streams(self, sending: int, waiting: int, running: int) -> None:
        counts = {"sending": sending, "waiting": waiting, "running": running}
        self.until({("onecard_streams", state): n for state, n in counts.items()})

    def until_ended(self, outcome: str, count: int = 1) -> None:
        self.until({("onecard_streams_ended_total", outcome): count})


@pytest.fixture
def counted_traffic():
    found = Counted()
    yield found
    found.traffic.close()
    assert not found.warnings
    states = ("sending", "waiting", "running")
    assert not any(found.scrape.values["onecard_streams", state] for state in states)
    assert found.scrape.values["onecard_oldest_wait_seconds",] == 0
    assert found.scrape.values["onecard_audio_seconds_left",] == 0


def test_a_request_sends_waits_runs_and_is_done(counted_traffic):
    visit = counted_traffic.traffic.accept()
    counted_traffic.until_streams(0, 0, 1)
    with visit.sending():
        counted_traffic.until_streams(1, 0, 0)
        counted_traffic.now_s += 50
    visit.audio(60.0, 60.0)
    with visit.waiting():
        counted_traffic.until_streams(0, 1, 0)
        counted_traffic.until({("onecard_audio_seconds_left",): 60.0})
        with visit.working("align"):  # another part of it
            counted_traffic.until_streams(0, 0, 1)
            counted_traffic.now_s += 3
    visit.audio(60.0, 15.0)
    counted_traffic.until({("onecard_audio_seconds_left",): 15.0})
    visit.end(None)
    visit.end(None)  # counted once
    counted_traffic.until_ended("done")
    counted_traffic.until({("onecard_audio_seconds_total",): 60.0})
    assert counted_traffic.scrape.observed == {
        ("onecard_stage_seconds", "align"): [3.0],
        ("onecard_stream_seconds",): [3.0],  # from when it was whole
        ("onecard_real_time_factor",): [0.05],
    }


def test_the_oldest_wait_is_of_who_waits_longest_now(counted_traffic):
    first, second = counted_traffic.traffic.accept(), counted_traffic.traffic.accept()
    first.hold()
    counted_traffic.now_s += 4
    second.hold()
    counted_traffic.now_s += 1
    counted_traffic.until({("onecard_oldest_wait_seconds",): 5.0})  # with nothing but the time
    first.release()
    counted_traffic.until({("onecard_oldest_wait_seconds",): 1.0})
    second.end(Cancelled("gone"))
    first.end(None)
    counted_traffic.until({("onecard_oldest_wait_seconds",): 0.0})


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Unavailable("full"), "refused"),
        (Cancelled("gone"), "cancelled"),
        (InvalidRequest("no"), "invalid"),
        (ValueError("never"), "failed"),
    ],
)
def test_errors_are_told_apart(counted_traffic, error, outcome):
    visit = counted_traffic.traffic.accept()
    visit.audio(10.0, 10.0)
    visit.end(error)
    counted_traffic.until_ended(outcome)
    counted_traffic.until({("onecard_audio_seconds_left",): 0.0})
    assert not counted_traffic.scrape.observed
    assert counted_traffic.scrape.get("onecard_audio_seconds_total") == 0
    counted_traffic.traffic.turn_away(error)
    counted_traffic.until_ended(outcome, 2)


@pytest.mark.parametrize(
    ("error", "count"), [(ValueError("x"), 1), (Cancelled("x"), 0), (InvalidRequest("x"), 0)]
)
def test_a_stage_that_fails_is_no_fault_of_who_asks(counted_traffic, error, count):
    visit = counted_traffic.traffic.accept()
    with pytest.raises(type(error)), visit.working("align"):
        raise error
    visit.end(None)
    counted_traffic.until_ended("done")
    assert counted_traffic.scrape.get("onecard_stage_errors_total", "align") == count
    assert ("onecard_stage_seconds", "align") not in counted_traffic.scrape.observed


def test_counters_are_there_before_anything_happens(counted_traffic):
    outcomes = ("done", "refused", "cancelled", "invalid", "failed")
    expected = {("onecard_streams_ended_total", outcome) for outcome in outcomes}
    expected |= {("onecard_stage_errors_total", "align"), ("onecard_stage_seconds", "align")}
    until(lambda: expected <= counted_traffic.scrape.shown, lambda: counted_traffic.scrape.shown)
    assert not counted_traffic.scrape.observed


def test_who_is_idle_sends_nothing_and_many_changes_are_one_message(counted_traffic):
    until(lambda: "onecard_audio_seconds_left" in str(counted_traffic.scrape.values), lambda: "")
    before = counted_traffic.scrape.num_messages
    visit = counted_traffic.traffic.accept()
    for left_s in range(1000, 0, -1):
        visit.audio(1000.0, float(left_s))
    visit.end(None)
    counted_traffic.until_ended("done")
    assert counted_traffic.scrape.num_messages - before < 20


def test_streams_are_counted_however_they_end(counted_traffic):
    streams = Streams("talks", 1, 1, traffic=counted_traffic.traffic)
    first, second = Gate(), Gate()
    running, waiting = FakeCaller(), FakeCaller()
    streams.add(Stream(running, first.answer))
    streams.add(Stream(waiting, second.answer))
    counted_traffic.until_streams(0, 1, 1)
    streams.add(Stream(FakeCaller(), first.answer))
    counted_traffic.until_ended("refused")
    waiting.has_left = True
    counted_traffic.until_ended("cancelled")
    counted_traffic.until_streams(0, 0, 1)
    third = FakeCaller()
    streams.add(Stream(third, second.answer))
    counted_traffic.until_streams(0, 1, 1)
    first.is_open.set()
    assert second.has_begun.wait(30)
    counted_traffic.until_streams(0, 0, 1)
    second.is_open.set()
    third.wait()
    streams.close()
    assert counted_traffic.scrape.get("onecard_streams_ended_total", "done") == 2


def test_verdicts_and_waits_for_speech_are_counted(counted_traffic):
    def events():
        yield {"event": "progress", "waiting_for": None}
        yield {"event": "progress", "waiting_for": "speech"}
        yield {"event": "progress", "waiting_for": "speech"}
        yield {"event": "progress", "waiting_for": None}
        yield {"event": "verdict", "verdict": {"needs_review": True}}
        yield {"event": "verdict", "verdict": {"needs_review": False}}

    visit = counted_traffic.traffic.accept()
    states = [visit.state for _ in counted(events(), visit)]
    assert states == ["running", "waiting", "waiting", "running", "running", "running"]
    visit.llm_call(100, 7)
    visit.llm_call(20, 3)
    visit.end(None)
    counted_traffic.until(
        {
            ("onecard_items_total", "yes"): 1,
            ("onecard_items_total", "no"): 1,
            ("onecard_llm_calls_total",): 2,
            ("onecard_llm_tokens_total", "in"): 120,
            ("onecard_llm_tokens_total", "out"): 10,
        }
    )


def test_a_model_works_on_where_its_metrics_cannot_be_published():
    warned = threading.Event()

    def create(family: Family, labels: Mapping[str, str]) -> Metric:
        raise RuntimeError("no metrics here")

    warnings: list[str] = []

    def warn(text: str) -> None:
        warnings.append(text)
        warned.set()

    traffic = Traffic(create, "talk", "talk_0_0", (), warn)
    assert warned.wait(30)
    _work(traffic.accept)
    traffic.close()
    assert warnings == ["metrics are published no more: no metrics here"]


def test_nobody_has_to_count():
    traffic = Traffic()
    _work(traffic.accept)
    traffic.turn_away(ValueError("x"))
    traffic.close()


def _work(accept: Callable[[], Visit]) -> None:
    visit = accept()
    with visit.waiting(), visit.working("align"):
        visit.audio(1.0, 1.0)
    visit.item(for_review=True)
    visit.llm_call(1, 1)
    visit.end(None)

"""The accounting of a soak, on calls that end in every way."""

from __future__ import annotations

import random
import threading
import time

import pytest

from bench.soak import account, report, watch
from bench.soak.account import DROPPED, LOST, REFUSED, UNTYPED, WRONG, Account, Left, WrongAnswer
from bench.soak.crowd import streams
from bench.soak.kinds import BAD_INPUT, Reference
from bench.soak.traffic import Callers
from onecard_client import (
    BadResponse,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    ServerError,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (Unavailable("full"), REFUSED),
        (ConnectionFailed("gone"), LOST),
        (DeadlineExceeded("late"), LOST),
        (BadResponse("no end"), LOST),
        (Cancelled("by whom?"), LOST),
        (InvalidRequest("good as it is"), WRONG),
        (WrongAnswer("another's text"), WRONG),
        (ServerError("internal error"), UNTYPED),
        (KeyError("segments"), UNTYPED),
        (Left("on purpose"), DROPPED),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_each_end_of_a_good_request_has_its_verdict(error: Exception, found: str) -> None:
    assert account.verdict(error, is_disturbed=False, is_stopping=False) == found


def test_a_connection_may_break_where_its_server_was_killed_and_nothing_else_may() -> None:
    for error, found in ((ConnectionFailed("x"), REFUSED), (ServerError("x"), UNTYPED),
                         (BadResponse("x"), LOST)):  # fmt: skip
        assert account.verdict(error, is_disturbed=True, is_stopping=False) == found


def test_what_the_soak_breaks_off_itself_is_dropped_but_a_wrong_answer_stays_one() -> None:
    assert account.verdict(Cancelled("x"), is_disturbed=False, is_stopping=True) == DROPPED
    assert account.verdict(WrongAnswer("x"), is_disturbed=False, is_stopping=True) == WRONG


def test_bad_input_is_to_be_refused() -> None:
    ends = {None: WRONG, InvalidRequest("x"): REFUSED, ServerError("x"): UNTYPED,
            BadResponse("x"): LOST}  # fmt: skip
    for error, found in ends.items():
        assert account.verdict_of_bad(error, is_disturbed=False, is_stopping=False) == found


class Kinds:
    """Requests that end in every way, by their number of calls."""

    def __init__(self, num_calls: int) -> None:
        self._left = num_calls
        self._lock = threading.Lock()
        self.is_over = threading.Event()
        self.hangs = threading.Event()

    def all(self):
        return {"clip": (self.clip, 1.0), BAD_INPUT: (self.bad, 1.0)}

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self.is_over.set()

    def clip(self, client, rng: random.Random) -> float:
        self._count()
        return 0.0

    def bad(self, client, rng: random.Random) -> None:
        self._count()
        raise InvalidRequest("it is bad")


def test_every_request_has_one_end_and_the_seed_decides_what_is_asked() -> None:
    found = []
    for _ in range(2):
        kinds, book = Kinds(200), Account()
        callers = Callers("localhost:1", kinds, book, seed=7)
        callers.start(4)
        assert kinds.is_over.wait(60)
        callers.end(60)
        assert book.is_clean()
        assert book.num_open == 0
        assert sum(book.counts().values()) == book.num_begun >= 200
        assert book.counts()["answered"] + book.counts()["refused"] == book.num_begun
        found.append({one.number: one.kind for one in book.ended if one.number < 200})
    assert found[0] == found[1]
    assert len({*found[0].values()}) == 2


def test_a_request_that_never_ends_is_lost_and_its_late_end_does_not_count() -> None:
    book, go = Account(), threading.Event()

    class Hanging(Kinds):
        def clip(self, client, rng):
            self.hangs.set()
            go.wait(60)
            return 0.0

        def all(self):
            return {"clip": (self.clip, 1.0)}

    kinds = Hanging(1)
    callers = Callers("localhost:1", kinds, book, seed=1)
    callers.start(1)
    assert kinds.hangs.wait(60)
    callers.end(0.05)
    assert [one.verdict for one in book.faults()] == [LOST]
    assert not book.is_clean()
    go.set()
    callers.end(60)
    assert len(book.ended) == book.num_begun == 1


def test_who_is_broken_off_by_ctrl_c_is_dropped_and_the_account_is_whole() -> None:
    class Endless(Kinds):
        def clip(self, client, rng):
            self.hangs.set()
            while True:
                client._open_stub()  # raises once its client is closed, as a call does
                time.sleep(0.01)

        def all(self):
            return {"clip": (self.clip, 1.0)}

    kinds, book = Endless(1), Account()
    callers = Callers("localhost:1", kinds, book, seed=1)
    callers.start(3)
    assert kinds.hangs.wait(60)
    callers.stop()
    assert book.is_clean()
    assert book.counts()["dropped"] == book.num_begun > 0


def test_a_text_of_another_recording_is_wrong_and_one_word_more_is_a_difference() -> None:
    reference = Reference({"clip": "And so my fellow Americans ask not what your country can do"})
    assert reference.difference("clip", reference.texts["clip"]) == 0.0
    assert 0 < (reference.difference("clip", reference.texts["clip"] + " now") or 0) < 0.1
    with pytest.raises(WrongAnswer, match="differ from the reference"):
        reference.difference("clip", "The weather will be fine tomorrow")


def test_a_leak_has_a_slope_and_noise_has_none() -> None:
    rng = random.Random(2)
    times = [float(second) for second in range(0, 3600, 5)]
    noise = [5000 + rng.gauss(0, 20) for _ in times]
    level = watch.slope(times, noise)
    assert level is not None
    assert level.is_level
    leak = watch.slope(times, [y + t / 36 for t, y in zip(times, noise, strict=True)])
    assert leak is not None
    assert leak.per_hour == pytest.approx(100, abs=3 * leak.error)
    assert not leak.is_level
    assert watch.slope(times[:230], noise[:230]) is None


def test_the_page_and_the_plot_tell_of_a_fault(tmp_path) -> None:
    book = Account()
    for number, verdict in enumerate(("answered", "lost")):
        book.begin(number, "clip")
        book.end(number, verdict, "" if verdict == "answered" else "it never ended", 0.0)
    sample = watch.Sample(1.0, 5000.0, 12, 800, 64.0, 1.0)
    held = {name: value for name, value in vars(sample).items()}
    found = {
        "date": "2026-01-02T03:04:05", "minutes": 1.0, "seed": 3, "callers": 2, "ran_s": 60.0,
        "kill_every_s": 30.0, "is_stopped": False, "begun": 2, "counts": book.counts(),
        "machine": {"cpu": "a CPU", "cores": 2, "memory_gib": 24, "load": 1.0, "system": "Linux",
                    "python": "3", "packages": {}},
        "kinds": book.by_kind(), "faults": [vars(one) for one in book.faults()],
        "kills": [{"what": "align", "at_s": 3.0, "recovered_s": 4.0}], "most": held,
        "at_rest": {"before": held, "after": held}, "memory_slope": None,
        "grown_mib": {"llm": 21.4, "shared memory": -3.0},
        "series": watch.thinned([sample, sample]),
    }  # fmt: skip
    paths = report.write(found, tmp_path)
    text = paths[0].read_text()
    assert "**1 lost, 0 wrong, 0 untyped** of 2 requests" in text
    assert "- lost: clip (request 1" in text
    assert "| align | 1 | 4 s | 4 s | 0 |" in text
    assert "against before: llm +21, shared memory -3." in text
    assert paths[2].stat().st_size > 1000


def test_streams_of_the_one_model_are_read_by_state() -> None:
    text = (
        'onecard_streams{model="transcribe_stream",model_instance="a",state="waiting"} 64\n'
        'onecard_streams{model="chat",model_instance="a",state="waiting"} 3\n'
        'onecard_streams{model="transcribe_stream",model_instance="a",state="running"} 32\n'
    )
    assert streams(text) == {"waiting": 64.0, "running": 32.0}

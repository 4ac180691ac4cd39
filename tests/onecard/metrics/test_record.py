"""What is told of a request at its end: its way in seconds, and nothing of its content."""

from __future__ import annotations

from contextlib import suppress

from onecard.errors import Unavailable
from onecard.metrics.record import MAX_SPANS, Origin, Record
from onecard.metrics.traffic import Traffic


class Told:
    """Traffic with a clock that is set, and what it tells."""

    def __init__(self) -> None:
        self.now_s = 10.0
        self.records: list[Record] = []
        self.traffic = Traffic(model="talk", clock=lambda: self.now_s, tell=self.records.append)

    @property
    def line(self) -> dict[str, object]:
        (record,) = self.records
        return record.line()


def test_a_slow_request_is_explained_by_its_line() -> None:
    told = Told()
    visit = told.traffic.accept(Origin("call-7"))
    with visit.sending():
        told.now_s += 2.0
    with visit.waiting():
        told.now_s += 30.0
    for seconds in (1.0, 3.0):
        with visit.working("recognize"):
            told.now_s += seconds
    with suppress(RuntimeError), visit.working("align"):
        told.now_s += 0.5
        raise RuntimeError("words of a caller")
    visit.audio(60.0, 10.0)
    visit.llm_call(100, 7)
    visit.end(RuntimeError("words of a caller"))
    visit.end(None)  # told once
    line = told.line
    assert line["outcome"] == "failed"
    assert (line["level"], line["error"], line["id"]) == ("error", "RuntimeError", "call-7")
    assert line["seconds"] == 36.5
    assert (line["sending_s"], line["waiting_s"], line["running_s"]) == (2.0, 30.0, 4.5)
    assert line["stages"] == {
        "recognize": {"calls": 2, "seconds": 4.0},
        "align": {"calls": 1, "seconds": 0.5, "errors": 1},
    }
    assert (line["audio_s"], line["tokens_in"], line["tokens_out"]) == (60.0, 100, 7)
    assert "words of a caller" not in str(line)
    spans = told.records[0].spans
    assert [(one.stage, one.from_s, one.until_s) for one in spans] == [
        ("recognize", 32.0, 33.0), ("recognize", 33.0, 36.0), ("align", 36.0, 36.5),
    ]  # fmt: skip
    assert [one.has_failed for one in spans] == [False, False, True]


def test_who_is_turned_away_is_told_of_too() -> None:
    told = Told()
    told.traffic.turn_away(Unavailable("full"), Origin("x" * 1000))
    assert (told.line["outcome"], told.line["level"]) == ("refused", "warning")
    assert told.line["id"] == "x" * 128


def test_a_day_of_audio_keeps_sums_and_the_first_spans() -> None:
    told = Told()
    visit = told.traffic.accept()
    for _ in range(MAX_SPANS + 10):
        with visit.working("recognize"):
            told.now_s += 0.5
    visit.end(None)
    (record,) = told.records
    assert record.stages["recognize"].calls == MAX_SPANS + 10
    assert len(record.spans) == MAX_SPANS

"""The order of things in a triage: every mail comes out once, whatever the model or speech do.

The engine is a stand-in that says what a test wants; tests/model_repository/test_triage.py has the
real one.
"""

from __future__ import annotations

import dataclasses
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.options import fields as json_options
from onecard.triage import mail
from onecard.triage.options import TriageOptions
from onecard.triage.request import Triage, joined
from tests.onecard.llm import fake_llm
from tests.onecard.llm.fake_llm import DIRECTORY, TOKENIZER, VOCABULARY
from tests.onecard.triage import plan
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "onecard" / "contract" / "schemas" / "verdict.schema.json").read_text())
FACTS = {"name": "llm", "model": "a stand-in"}
CONFIG = dataclasses.replace(plan.CONFIG, tokenizer_dir=str(DIRECTORY))


def mails_of(num_mails: int) -> list[mail.Mail]:
    fields = [{"id": f"id {n}", "body": f"mail number {n}"} for n in range(num_mails)]
    return mail.parse(json.dumps(fields))


def line(number: int, **changed: object) -> str:
    found = {
        "mail": number, "summary": "s", "category": "invoice", "priority": "low", "action": None,
        "due": None, "confidence": 0.9, "reason": "r", "reply_draft": None, **changed,
    }  # fmt: skip
    return json.dumps(found) + "\n"


def obedient(call: int, num_mails: int) -> Iterator[str]:
    for number in range(1, num_mails + 1):
        yield line(number)


class FakeLlm(fake_llm.FakeLlm):
    """An engine that says what `says` yields of the call and its number of mails."""

    def __init__(self, says=obedient) -> None:
        super().__init__(lambda call, asked: says(call, asked.guide.text.count('"{\\"mail\\": ')))


def triage(**changed: object) -> Triage:
    return Triage(TOKENIZER, dataclasses.replace(CONFIG, **changed), FACTS)


def run(llm, num_mails, is_busy=lambda: False, options="", **changed):
    """Verdicts by id, the summary, and all events; that each mail came out once is checked."""
    made = triage(**changed)
    mails = mails_of(num_mails)
    asked = made.settings(json_options.parse(TriageOptions, options))
    events = list(made.events(mails, asked, llm, is_busy))
    found = [event["verdict"] for event in events if event["event"] == "verdict"]
    for verdict in found:
        jsonschema.validate(verdict, SCHEMA)
    assert sorted(verdict["id"] for verdict in found) == sorted(mail.id for mail in mails)
    assert events[-1]["event"] == "summary"
    done = [event["done"] for event in events if event["event"] == "progress"]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, num_mails)
    return {verdict["id"]: verdict for verdict in found}, events[-1]["summary"], events


def test_ten_mails_in_calls_of_three():
    llm = FakeLlm()
    found, summary, _ = run(llm, 10)
    assert all(verdict["category"] == "invoice" for verdict in found.values())
    assert [call["ids"] for call in summary["calls"]] == [
        [f"id {n}" for n in group] for group in ([0, 1, 2], [3, 4, 5], [6, 7, 8], [9])
    ]
    assert [call["call"] for call in summary["calls"]] == [1, 2, 3, 4]
    for call in summary["calls"]:
        assert {found[one]["call"] for one in call["ids"]} == {call["call"]}
    assert (summary["mails"], summary["decided"], summary["needs_review"]) == (10, 10, [])
    assert summary["engine"] == FACTS
    assert summary["prompt_tokens"] == sum(len(asked.prompt_ids) for asked in llm.asked)
    said = len(VOCABULARY.encode("".join(line(n) for n in (1, 2, 3))).ids)
    assert summary["calls"][0]["completion_tokens"] == said
    assert {asked.max_tokens for asked in llm.asked} == {3 * 256, 256}


def test_as_many_calls_at_once_as_the_plan_says():
    two = threading.Barrier(2)

    def says(call, num_mails):
        two.wait(PATIENCE_S)
        yield from obedient(call, num_mails)

    llm = FakeLlm(says)
    run(llm, 12)
    assert (len(llm.asked), llm.most_running) == (4, 2)


def test_no_mails():
    found, summary, events = run(FakeLlm(), 0)
    assert (found, summary["mails"], summary["calls"]) == ({}, 0, [])
    assert [event["event"] for event in events] == ["progress", "summary"]


def test_a_verdict_goes_out_while_the_next_one_is_written():
    said = threading.Event()

    def says(call, num_mails):
        yield line(1)
        assert said.wait(PATIENCE_S)
        yield line(2)

    made = triage()
    events = made.events(mails_of(2), made.settings(TriageOptions()), FakeLlm(says), lambda: False)
    first = next(event for event in events if event["event"] == "verdict")
    assert first["verdict"]["id"] == "id 0"
    said.set()
    assert [event["event"] for event in events][-1] == "summary"


@pytest.mark.parametrize(
    ("about_the_second", "why"),
    [
        ("nonsense\n", "not JSON"),
        (line(2)[:30], "not JSON"),  # cut in the middle
        ("", "ended before this mail"),
        (line(7), "about mail `7`"),
        (line(2, category="needs_review"), "`category` is `'needs_review'`"),
        (line(2, due="2026-02-30", action="x"), "`due` is `'2026-02-30'`"),
        (RuntimeError("the engine broke"), "engine error: the engine broke"),
        (Unavailable("full"), "engine error: full"),
        (InvalidRequest("too long"), "engine error: too long"),
        (KeyError("a secret"), "internal error; the server log has the traceback"),
    ],
)
def test_what_is_missing_is_tried_once_more_alone_and_then_for_review(about_the_second, why):
    def says(call, num_mails):
        if num_mails == 2:
            yield line(1)
            yield line(1, category="other")  # the first word counts
            yield about_the_second
        elif isinstance(about_the_second, str):
            yield about_the_second.replace('"mail": 2', '"mail": 1')
        else:
            yield about_the_second

    llm = FakeLlm(says)
    found, summary, _ = run(llm, 2)
    assert found["id 0"]["category"] == "invoice"
    assert [call["ids"] for call in summary["calls"]] == [["id 0", "id 1"], ["id 1"]]
    assert (summary["needs_review"], summary["decided"]) == (["id 1"], 1)
    lost = found["id 1"]
    assert (lost["category"], lost["needs_review"], lost["call"]) == ("needs_review", True, 2)
    assert why in lost["review_reason"]
    assert llm.asked[1].max_tokens > 1000  # room for the worst


def test_a_second_try_can_succeed():
    llm = FakeLlm(lambda call, num_mails: iter([line(1)] if call else [RuntimeError("once")]))
    _, summary, _ = run(llm, 3)
    assert summary["decided"] == 3
    assert len(summary["calls"]) == 4


def test_an_engine_that_is_gone_loses_no_mail():
    def says(call, num_mails):
        raise Unavailable("`llm` is being loaded again")
        yield

    found, summary, _ = run(FakeLlm(says), 7)
    assert summary["needs_review"] == [*found]
    assert summary["decided"] == 0
    assert all("being loaded again" in verdict["review_reason"] for verdict in found.values())


@given(seed=st.integers(0, 10_000), num_mails=st.integers(0, 9), mails_per_call=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_whatever_the_model_says_every_mail_comes_out_once(seed, num_mails, mails_per_call):
    dice = random.Random(seed)

    def says(call, num_mails):
        for number in range(1, num_mails + 1):
            yield dice.choice(
                [
                    line(number), line(number), line(1), line(99), line(number, category="x"),
                    line(number, confidence=0.1), "{", "\n\n", "}\n", '{"mail": 1}\n',
                    "\ufffd\x00\n", RuntimeError("broken"),
                ]
            )  # fmt: skip

    found, summary, _ = run(FakeLlm(says), num_mails, mails_per_call=mails_per_call)
    for_review = [one for one, verdict in found.items() if verdict["needs_review"]]
    assert summary["needs_review"] == for_review


def test_a_model_that_goes_on_is_stopped_when_all_is_decided():
    def says(call, num_mails):
        yield line(1)
        while True:
            yield "and so on "

    llm = FakeLlm(says)
    _, summary, _ = run(llm, 1)
    assert llm.num_stopped == 1
    assert len(summary["calls"]) == 1


def test_seeds_differ_by_mail_and_not_by_chance():
    def seeds(options):
        llm = FakeLlm(lambda call, num_mails: iter([line(1)] if call != 1 else []))
        run(llm, 4, options=options, mails_per_call=1, max_calls_in_flight=1)
        return [asked.seed for asked in llm.asked]

    assert seeds('{"seed": 7}') == [7, 8, 9, 10, 12]  # and the second try
    assert seeds("{}") == [None] * 5
    assert seeds(json.dumps({"seed": 2**64 - 1}))[:2] == [2**64 - 1, 0]


class Speech:
    """Is busy for so many questions, then not."""

    def __init__(self, num_questions: int) -> None:
        self.left = num_questions

    def is_busy(self) -> bool:
        self.left -= 1
        return self.left >= 0


def test_waits_for_speech_and_says_so():
    llm = FakeLlm()
    speech = Speech(3)
    _, summary, events = run(llm, 6, speech.is_busy)
    waiting = [event["waiting_for"] for event in events if event["event"] == "progress"]
    assert waiting[:3] == [None, "speech", None]
    assert 0.1 <= summary["waited_s"] <= summary["seconds"]


def test_ends_where_somebody_always_speaks():
    llm = FakeLlm()
    _, summary, events = run(llm, 6, lambda: True, max_speech_wait_s=0.12, max_calls_in_flight=1)
    waiting = [event["waiting_for"] for event in events if event["event"] == "progress"]
    assert waiting[:3] == [None, "speech", None]
    assert waiting.count("speech") == 1  # all further calls start at once
    assert summary["decided"] == 6
    assert summary["waited_s"] >= 0.12


def test_running_calls_go_on_while_others_wait():
    llm = FakeLlm()
    _, summary, _ = run(llm, 6, lambda: llm.running > 0)
    assert (summary["decided"], llm.most_running) == (6, 1)


def test_a_caller_that_is_gone_ends_everything():
    started = threading.Barrier(2)

    def says(call, num_mails):
        yield line(1)
        started.wait(PATIENCE_S)
        if call == 0:
            yield Cancelled("the caller cancelled the request")
        while True:
            yield "and so on "

    llm = FakeLlm(says)
    made = triage()
    with pytest.raises(Cancelled):
        list(made.events(mails_of(12), made.settings(TriageOptions()), llm, lambda: False))
    assert len(llm.asked) == 2
    assert llm.running == 0


def test_a_caller_that_is_gone_does_not_wait_for_speech():
    def is_busy():
        raise Cancelled("the caller cancelled the request")

    made = triage()
    with pytest.raises(Cancelled):
        list(made.events(mails_of(1), made.settings(TriageOptions()), FakeLlm(), is_busy))


def test_nothing_is_tokenized_for_a_caller_that_is_gone():
    def check():
        raise Cancelled("the caller cancelled the request")

    made = triage()
    wanted = made.settings(TriageOptions())
    with pytest.raises(Cancelled):
        list(made.events(mails_of(1), wanted, FakeLlm(), lambda: False, check))
    with pytest.raises(Cancelled):
        made.mails('[{"id": "1", "body": "x"}]', check)


def test_closing_the_events_stops_the_engine():
    def says(call, num_mails):
        yield line(1)
        while True:
            yield "and so on "

    llm = FakeLlm(says)
    made = triage()
    events = made.events(mails_of(12), made.settings(TriageOptions()), llm, lambda: False)
    next(event for event in events if event["event"] == "verdict")
    events.close()
    assert llm.running == 0
    assert llm.num_stopped >= 1
    assert len(llm.asked) <= 2


def test_settings_that_cannot_be_served_are_refused_before_the_first_event():
    made = triage()
    for options in ({"max_tokens_per_mail": 8000}, {"instructions": "word " * 1600,
                    "max_tokens_per_mail": 6500}, {"max_tokens_per_mail": 20}):  # fmt: skip
        asked = made.settings(TriageOptions(**options))
        with pytest.raises(InvalidRequest, match="max_tokens_per_mail"):
            next(made.events(mails_of(1), asked, FakeLlm(), lambda: False))
    with pytest.raises(InvalidRequest, match="max_tokens_per_mail"):
        triage(max_tokens_per_mail=20)


def test_an_answer_in_one_event_has_every_verdict_and_the_summary():
    made = triage()
    asked = made.settings(TriageOptions(stream=False))
    events = list(made.events(mails_of(3), asked, FakeLlm(), lambda: False))
    found = joined(iter(events))
    verdicts = [event["verdict"] for event in events if event["event"] == "verdict"]
    assert found == {"event": "verdicts", "verdicts": verdicts, "summary": events[-1]["summary"]}
    assert len(verdicts) == 3

"""Triage by both clients against the fake server: what is sent, what comes, what is tried again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_server import (
    PATIENCE_S,
    PROGRESS,
    TRIAGE_PROGRESS,
    VERDICT,
    decides,
    event,
    events,
    fails,
    hangs,
    summary,
    verdict,
)

import onecard
from onecard_client import (
    BadResponse,
    Client,
    DeadlineExceeded,
    Email,
    InvalidRequest,
    TriageCall,
    TriageProgress,
    Unavailable,
    Verdict,
)

BUSY = fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
MAILS = [
    Email("m1", subject="Invoice", body="Pay.", sender="a@b.c", to="d@e.f", date="2025-07-01"),
    {"id": "m2", "body": "Hello", "labels": ["x"]},
]


def test_verdicts_come_as_they_are_decided_and_the_account_last(fake: Any, connect: Any) -> None:
    server = fake(events(verdict("m1"), verdict("m2", priority=None), summary("m1", "m2")))
    seen: list[Verdict] = []
    stream = connect(server.url).triage(MAILS, seen)
    assert [one.id for one in seen] == ["m1", "m2"]
    assert seen == stream.verdicts
    assert (seen[0].action, seen[0].due, seen[1].priority) == ("pay it", "2025-07-14", None)
    assert stream.summary.calls == (TriageCall(0, ("m1", "m2"), 100, 20, 0.5),)
    assert (stream.summary.mails, stream.summary.seconds) == (2, 0.5)


def test_request_is_what_the_model_takes(fake: Any, connect: Any) -> None:
    server = fake(decides)
    connect(server.url).triage(iter(MAILS), request_id="r-1", categories=["a", "b"], drafts=False)
    (request,) = server.requests
    assert (request.model_name, request.id) == ("triage", "r-1")
    assert [one.name for one in request.inputs] == ["EMAILS", "OPTIONS"]
    first, second = server.document()
    assert first == {
        "id": "m1",
        "from": "a@b.c",
        "to": "d@e.f",
        "date": "2025-07-01",
        "subject": "Invoice",
        "body": "Pay.",
    }
    assert second == MAILS[1]  # what an object has is the server's to judge
    assert server.options() == {"categories": ["a", "b"], "drafts": False}


@pytest.mark.parametrize("emails", ["text", b"bytes", {"id": "m1"}, [7], ["text"]])
def test_emails_that_are_none(emails: Any, connect: Any) -> None:
    with pytest.raises(TypeError, match="`Email`"):
        connect("localhost:1").triage(emails)


def test_email_that_json_does_not_have(connect: Any) -> None:
    with pytest.raises(InvalidRequest, match="not something that JSON has"):
        connect("localhost:1").triage([{"id": "m1", "body": b"bytes"}])


def test_progress_is_told(fake: Any, connect: Any) -> None:
    told: list[TriageProgress] = []
    later = {**TRIAGE_PROGRESS, "done": 1, "waiting_for": None}
    server = fake(events(TRIAGE_PROGRESS, verdict("m1"), later, summary("m1")))
    connect(server.url).triage(MAILS[:1], on_progress=told.append)
    assert told == [TriageProgress(0, 1, "speech"), TriageProgress(1, 1)]


def test_verdict_is_json_as_it_came(fake: Any, connect: Any) -> None:
    """Nulls are there, and what a newer server adds."""
    sent = {**VERDICT, "reply_draft": None, "mood": "grim"}
    server = fake(events({"event": "verdict", "verdict": sent}, summary("m1")))
    (found,) = connect(server.url).triage(MAILS[:1]).verdicts
    assert found.to_dict() == sent
    assert found.extra == {"mood": "grim"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.category = "spam"


def test_mail_without_a_verdict(fake: Any, connect: Any) -> None:
    nothing = dict.fromkeys(VERDICT, None)
    sent = {"id": "m1", "category": "needs_review", "needs_review": True, "review_reason": "no"}
    server = fake(events({"event": "verdict", "verdict": {**nothing, **sent}}, summary("m1")))
    (found,) = connect(server.url).triage(MAILS[:1]).verdicts
    assert (found.category, found.needs_review, found.review_reason) == ("needs_review", True, "no")


def test_classes_have_the_fields_of_the_servers_schema() -> None:
    path = Path(onecard.__file__).parent / "contract" / "schemas" / "verdict.schema.json"
    schema = json.loads(path.read_text())
    assert {field.name for field in dataclasses.fields(Verdict)} - {"extra"} == set(
        schema["properties"]
    )


# failures


def test_stream_is_tried_again_while_it_gave_nothing_but_progress(fake: Any, connect: Any) -> None:
    server = fake(BUSY, events(TRIAGE_PROGRESS, then=BUSY), decides)
    assert len(connect(server.url).triage(MAILS).verdicts) == 2
    assert len(server.requests) == 3


def test_nothing_is_asked_again_after_the_first_verdict(fake: Any, connect: Any) -> None:
    server = fake(events(verdict("m1"), then=BUSY), decides)
    seen: list[Verdict] = []
    with pytest.raises(Unavailable):
        connect(server.url).triage(MAILS, seen)
    assert (len(seen), len(server.requests)) == (1, 1)


def test_stream_without_an_account(fake: Any, connect: Any) -> None:
    with pytest.raises(BadResponse, match="ended without a result"):
        connect(fake(events(verdict("m1"), verdict("m2"))).url).triage(MAILS)


@pytest.mark.parametrize(
    "found",
    [
        {"event": "verdict"},
        {"event": "verdict", "verdict": {"id": "m1"}},
        {"event": "verdict", "verdict": {**VERDICT, "confidence": "high"}},
        {"event": "verdict", "verdict": {**VERDICT, "needs_review": "yes"}},
        {"event": "summary", "summary": []},
        PROGRESS | {"total": "many"},
    ],
    ids=lambda found: repr(found)[-40:],
)
def test_garbage(found: Any, fake: Any, connect: Any) -> None:
    with pytest.raises(BadResponse):
        connect(fake(event(json.dumps(found).encode())).url).triage(MAILS)


def test_deadline(fake: Any, connect: Any) -> None:
    server = fake(events(TRIAGE_PROGRESS, then=hangs))
    with pytest.raises(DeadlineExceeded):
        connect(server.url).triage(MAILS, timeout_s=2)
    assert server.cancelled.wait(PATIENCE_S)


def test_closing_cancels(fake: Any, connect: Any) -> None:
    server = fake(events(verdict("m1"), then=hangs))
    stream = connect(server.url).first_item("triage", MAILS, server.cancelled)
    assert (len(stream.verdicts), stream.summary) == (1, None)


def test_nothing_is_sent_until_something_is_asked_for(fake: Any) -> None:
    server = fake(decides)
    with Client(server.url) as client, client.triage(MAILS):
        pass
    assert server.requests == []

"""Both clients against the fake server: retries, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
import pytest
from fake_server import (
    FINISHED,
    PATIENCE_S,
    PROGRESS,
    SEGMENTS,
    cancel_amid,
    events,
    fails,
    hangs,
    says,
    summary,
    verdict,
    verdicts,
)

from onecard_client import (
    AsyncClient,
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    OnecardError,
    Progress,
    Transcript,
    Unavailable,
)
from onecard_client._errors import CallContext
from onecard_client._transport.retry import MAX_CONNECTION_RETRIES, Attempts, Backoff

BUSY = fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


def test_unavailable_is_tried_again(fake: Any, connect: Any) -> None:
    server = fake(BUSY, BUSY, events(FINISHED))
    assert connect(server.url).transcribe(b"audio").text == "Hello there."
    assert len(server.requests) == 3
    assert len({request.id for request in server.requests}) == 1


def test_stream_is_tried_again_while_it_gave_nothing_but_progress(fake: Any, connect: Any) -> None:
    server = fake(BUSY, events(PROGRESS, then=BUSY), events(PROGRESS, FINISHED))
    assert len(connect(server.url).stream(b"audio")) == 3
    assert len(server.requests) == 3


def test_stream_is_not_tried_again_after_segments(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS, SEGMENTS, then=BUSY), events(FINISHED))
    with pytest.raises(Unavailable):
        connect(server.url).stream(b"audio")
    assert len(server.requests) == 1


def test_transcribe_is_tried_again_even_after_segments(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS, SEGMENTS, then=BUSY), events(FINISHED))
    assert connect(server.url).transcribe(b"audio").text == "Hello there."
    assert len(server.requests) == 2


def test_what_follows_the_result_is_no_failure(fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED, then=BUSY))
    assert isinstance(connect(server.url).transcribe(b"audio"), Transcript)
    assert len(server.requests) == 1


def test_a_server_that_is_loading_or_draining_is_asked_again(fake: Any, connect: Any) -> None:
    server = fake(
        says("Request for unknown model: 'transcribe_stream' has no available versions"),
        fails(
            grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'x' has no available versions"
        ),
        fails(grpc.StatusCode.INTERNAL, "Stub process 'x_0_0' is not healthy."),
        events(FINISHED),
    )
    assert connect(server.url).transcribe(b"audio").text == "Hello there."
    assert len(server.requests) == 4


def test_busy_server_is_asked_on_and_on_but_a_missing_one_is_not() -> None:
    attempts = Attempts(CallContext("a:1"), None, Backoff(max_s=2.0))
    delays = [attempts.delay_s(Unavailable("busy")) for _ in range(50)]
    assert all(1.0 <= delay <= 2.0 for delay in delays[10:])
    for _ in range(MAX_CONNECTION_RETRIES):
        attempts.delay_s(ConnectionFailed("refused"))
        attempts.delay_s(Unavailable("busy"))
    with pytest.raises(ConnectionFailed, match="refused"):
        attempts.delay_s(ConnectionFailed("refused"))


def test_retries_end(fake: Any, connect: Any) -> None:
    server = fake(BUSY)
    with pytest.raises(Unavailable, match="maximum queue size"):
        connect(server.url, max_retries=2).transcribe(b"audio")
    assert len(server.requests) == 3


def test_retries_end_with_the_deadline(fake: Any, connect: Any) -> None:
    server = fake(BUSY)
    with pytest.raises((Unavailable, DeadlineExceeded)):  # the latter if it comes amid a call
        connect(server.url).transcribe(b"audio", timeout_s=2)
    assert 1 < len(server.requests) < 10


@pytest.mark.parametrize(
    "name", ["INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED"]
)
def test_other_failures_are_final(name: str, fake: Any, connect: Any) -> None:
    server = fake(fails(grpc.StatusCode[name], "no"), events(FINISHED))
    with pytest.raises(OnecardError):
        connect(server.url).transcribe(b"audio")
    assert len(server.requests) == 1


# answers in one event


def test_transcript_alone(fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED))
    (transcript,) = connect(server.url).stream(b"audio", stream=False)
    assert isinstance(transcript, Transcript)
    assert server.options() == {"stream": False}


def test_all_verdicts_at_once(fake: Any, connect: Any) -> None:
    server = fake(BUSY, events(verdicts("a", "b", "c")))
    emails = [{"id": one, "subject": "Hi"} for one in "abc"]
    seen: list[Any] = []
    whole = connect(server.url).triage(emails, seen, stream=False)
    assert [one.id for one in seen] == ["a", "b", "c"]
    assert whole.verdicts == seen
    assert whole.summary.mails == 3
    assert server.options() == {"stream": False}
    single = fake(events(*(verdict(one) for one in "abc"), summary("a", "b", "c")))
    one_by_one = connect(single.url).triage(emails)
    assert (whole.verdicts, whole.summary) == (one_by_one.verdicts, one_by_one.summary)


def test_closing_forgets_verdicts_that_were_not_asked_for(fake: Any, connect: Any) -> None:
    ended = threading.Event()
    ended.set()
    server = fake(events(verdicts("a", "b", "c")))
    stream = connect(server.url).first_item("triage", [{"id": "a", "subject": "Hi"}], ended)
    assert stream.summary.mails == 3


def test_no_verdicts_at_once(fake: Any, connect: Any) -> None:
    stream = connect(fake(events(verdicts())).url).triage([], stream=False)
    assert (stream.verdicts, stream.summary.mails) == ([], 0)


# deadlines and cancellation


def test_deadline_ends_the_call_on_both_sides(fake: Any, connect: Any) -> None:
    server = fake(hangs)
    with pytest.raises(DeadlineExceeded, match=r"within `2` s"):
        connect(server.url).transcribe(b"audio", timeout_s=2)
    assert server.cancelled.wait(PATIENCE_S)
    assert len(server.requests) == 1


def test_deadline_ends_a_stream(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS, then=hangs))
    seen: list[Any] = []
    with pytest.raises(DeadlineExceeded):
        connect(server.url).stream(b"audio", seen, timeout_s=2)
    assert len(seen) == 1
    assert server.cancelled.wait(PATIENCE_S)


def test_no_time_at_all(fake: Any, connect: Any) -> None:
    server = fake(events(FINISHED))
    with pytest.raises(DeadlineExceeded):
        connect(server.url).transcribe(b"audio", timeout_s=0)
    assert server.requests == []


def test_closing_a_stream_cancels_it(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS, then=hangs))
    assert isinstance(connect(server.url).first_event(b"audio"), Progress)
    assert server.cancelled.wait(PATIENCE_S)


def test_finished_stream_is_not_cancelled(fake: Any, connect: Any) -> None:
    server = fake(events(PROGRESS, FINISHED))
    connect(server.url).stream(b"audio")
    server.stop()
    assert not server.cancelled.is_set()


def test_cancelling_a_task_cancels_its_call(fake: Any) -> None:
    server = fake(hangs)

    async def call() -> None:
        async with AsyncClient(server.url) as client:
            await cancel_amid(client.transcribe(b"audio"), server)

    asyncio.run(call())


def test_closing_a_client_ends_its_calls(fake: Any) -> None:
    server = fake(hangs)
    client = Client(server.url)
    caught: list[BaseException] = []

    def call() -> None:
        try:
            client.transcribe(b"audio")
        except OnecardError as error:
            caught.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    while not server.requests:
        thread.join(0.01)
    client.close()
    thread.join(PATIENCE_S)
    assert len(caught) == 1


def test_closed_client_says_so() -> None:
    client = Client("localhost:1")
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.transcribe(b"audio")

    async def call() -> None:
        asynchronous = AsyncClient("localhost:1")
        await asynchronous.close()
        await asynchronous.health()

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(call())


def test_client_is_shared_by_threads(fake: Any) -> None:
    server = fake(events(FINISHED))
    texts: list[str] = []
    with Client(server.url) as client:
        threads = [
            threading.Thread(target=lambda: texts.append(client.transcribe(b"audio").text))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Hello there."] * 8

"""Chat by both clients against the fake server: what is sent, what comes, what is tried again."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import grpc
import pytest
from fake_server import (
    ANSWER,
    DELTAS,
    DONE,
    PATIENCE_S,
    USAGE,
    event,
    events,
    fails,
    hangs,
    says,
)

from onecard_client import (
    AsyncClient,
    BadResponse,
    ChatUsage,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    Limits,
    TokenLogprob,
    Unavailable,
)

BUSY = fails(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
REFUSED = says("INVALID_ARG: the prompt has 70 tokens")


def test_pieces_come_as_they_are_and_the_rest_is_kept(fake: Any, connect: Any) -> None:
    pieces: list[str] = []
    answer = connect(fake(events(*ANSWER)).url).chat("Hello", pieces)
    assert pieces == ["Good ", "day."]
    assert answer.text == "Good day."
    assert answer.usage == ChatUsage(12, 3, 15, 64)
    assert (answer.finish_reason, answer.engine) == ("stop", DONE["engine"])
    assert answer.logprobs == []


def test_request_is_what_the_model_takes(fake: Any, connect: Any) -> None:
    server = fake(events(*ANSWER))
    conversation = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hé"}]
    connect(server.url).chat(conversation, request_id="r-1", max_tokens=5, stop=["\n"])
    (request,) = server.requests
    assert (request.model_name, request.id) == ("chat", "r-1")
    assert [(one.name, one.datatype, list(one.shape)) for one in request.inputs] == [
        ("MESSAGES", "BYTES", [1, 1]),
        ("OPTIONS", "BYTES", [1, 1]),
    ]
    assert server.document() == conversation
    assert server.options() == {"max_tokens": 5, "stop": ["\n"]}


def test_text_is_one_message_of_the_user(fake: Any, connect: Any) -> None:
    server = fake(events(*ANSWER))
    connect(server.url).chat("Hello")
    assert server.document() == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("messages", [7, None, ["Hello"], {"role": "user", "content": "Hello"}])
def test_messages_that_are_none(messages: Any, connect: Any) -> None:
    with pytest.raises(TypeError, match="must be an object with `role` and `content`"):
        connect("localhost:1").chat(messages)


def test_message_that_json_does_not_have(connect: Any) -> None:
    with pytest.raises(InvalidRequest, match="not something that JSON has"):
        connect("localhost:1").chat([{"role": "user", "content": b"bytes"}])


def test_logprobs_of_all_pieces(fake: Any, connect: Any) -> None:
    pieces: list[str] = []
    steps = [
        {"event": "delta", "text": "a", "logprobs": [{"token": "a", "logprob": -0.5}]},
        {"event": "delta", "text": "", "logprobs": [{"token": "", "logprob": -1}]},
    ]
    answer = connect(fake(events(*steps, USAGE, DONE)).url).chat("Hi", pieces, logprobs=True)
    assert pieces == ["a"]
    assert answer.logprobs == [TokenLogprob("a", -0.5), TokenLogprob("", -1.0)]


def test_what_a_newer_server_sends_is_kept(fake: Any, connect: Any) -> None:
    usage = {**USAGE, "cached_tokens": 4}
    server = fake(events(*DELTAS, {"event": "thought", "text": "hm"}, usage, DONE))
    answer = connect(server.url).chat("Hello")
    assert answer.text == "Good day."
    assert answer.usage.extra == {"cached_tokens": 4}
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.usage.total_tokens = 0


def test_length_is_told(fake: Any, connect: Any) -> None:
    server = fake(events(DELTAS[0], USAGE, {**DONE, "finish_reason": "length"}))
    answer = connect(server.url).chat("Hello")
    assert (answer.text, answer.finish_reason) == ("Good ", "length")


# failures


def test_busy_server_is_asked_again(fake: Any, connect: Any) -> None:
    server = fake(BUSY, says("Server not ready"), events(*ANSWER))
    assert connect(server.url).chat("Hello").text == "Good day."
    assert len(server.requests) == 3
    assert len({request.id for request in server.requests}) == 1


def test_nothing_is_asked_again_after_the_first_piece(fake: Any, connect: Any) -> None:
    server = fake(events(DELTAS[0], then=BUSY), events(*ANSWER))
    pieces: list[str] = []
    with pytest.raises(Unavailable):
        connect(server.url).chat("Hello", pieces)
    assert (pieces, len(server.requests)) == (["Good "], 1)


def test_failed_answer_was_not_cancelled(fake: Any) -> None:
    server = fake(events(DELTAS[0], then=REFUSED))
    with (
        Client(server.url) as client,
        pytest.raises(InvalidRequest),
        client.chat("Hello") as answer,
    ):
        list(answer)
    assert (answer.text, answer.finish_reason) == ("Good ", None)


def test_refusal_is_the_models_words(fake: Any, connect: Any) -> None:
    server = fake(REFUSED)
    with pytest.raises(InvalidRequest, match=r"^the prompt has 70 tokens$"):
        connect(server.url).chat("Hello")
    assert len(server.requests) == 1


def test_answer_without_an_end(fake: Any, connect: Any) -> None:
    with pytest.raises(BadResponse, match="ended without a result"):
        connect(fake(events(*DELTAS, USAGE)).url).chat("Hello")


@pytest.mark.parametrize(
    "found",
    [
        {"event": "delta"},
        {"event": "delta", "text": 7},
        {"event": "usage", "prompt_tokens": "12"},
        {"event": "done"},
        {"event": "delta", "text": "", "logprobs": [{"token": "a"}]},
        [],
    ],
    ids=repr,
)
def test_garbage(found: Any, fake: Any, connect: Any) -> None:
    with pytest.raises(BadResponse):
        connect(fake(event(json.dumps(found).encode())).url).chat("Hello")


def test_deadline(fake: Any, connect: Any) -> None:
    server = fake(events(DELTAS[0], then=hangs))
    pieces: list[str] = []
    with pytest.raises(DeadlineExceeded):
        connect(server.url).chat("Hello", pieces, timeout_s=0.5)
    assert pieces == ["Good "]
    assert server.cancelled.wait(PATIENCE_S)


# ends that the caller makes


def test_closing_cancels(fake: Any, connect: Any) -> None:
    server = fake(events(*DELTAS, then=hangs))
    answer = connect(server.url).first_item("chat", "Hello", server.cancelled)
    assert (answer.text, answer.finish_reason) == ("Good ", "cancelled")


def test_nothing_is_sent_until_something_is_asked_for(fake: Any) -> None:
    server = fake(events(*ANSWER))
    with Client(server.url) as client:
        answer = client.chat("Hello")
        answer.close()
        assert list(answer) == []
    assert server.requests == []


def test_closing_a_finished_answer_changes_nothing(fake: Any) -> None:
    with Client(fake(events(*ANSWER)).url) as client, client.chat("Hello") as answer:
        assert list(answer) == ["Good ", "day."]
    assert answer.finish_reason == "stop"


def test_leaving_a_loop_behind_cancels(fake: Any) -> None:
    server = fake(events(*DELTAS, then=hangs))
    with Client(server.url) as client:
        for _ in client.chat("Hello"):
            break
        assert server.cancelled.wait(PATIENCE_S)


def test_cancelling_a_task_cancels_its_answer(fake: Any) -> None:
    server = fake(hangs)

    async def call() -> None:
        async with AsyncClient(server.url) as client:

            async def read() -> list[str]:
                return [piece async for piece in client.chat("Hello")]

            task = asyncio.create_task(read())
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.cancelled.wait, PATIENCE_S)

    asyncio.run(call())


# limits


def test_limits(fake: Any, connect: Any) -> None:
    assert connect(fake(hangs).url).limits() == Limits(context_tokens=64, default_max_tokens=16)


@pytest.mark.parametrize("parameters", [{}, {"max_seq_len": "many", "max_tokens": "16"}])
def test_server_without_limits(parameters: Any, fake: Any, connect: Any) -> None:
    server = fake(hangs)
    server.parameters = parameters
    with pytest.raises(BadResponse, match="`max_seq_len` and `max_tokens`"):
        connect(server.url).limits()

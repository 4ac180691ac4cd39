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
    INVALID,
    PATIENCE_S,
    USAGE,
    WHOLE_ANSWER,
    cancel_amid,
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
    Ledger,
    LedgerPart,
    Limits,
    TokenLogprob,
    ToolCall,
    Unavailable,
)
from tests.tool_offers import TOOLS

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


def test_calls_of_tools(fake: Any, connect: Any) -> None:
    call = {"id": "aB3dE6gH9", "name": "now", "arguments": '{"zone": "UTC"}'}
    done = {**DONE, "finish_reason": "tool_calls"}
    told = {"event": "tool_calls", "tool_calls": [call]}
    whole = {**WHOLE_ANSWER, "text": "", "finish_reason": "tool_calls", "tool_calls": [call]}
    server = fake(events(told, USAGE, done), events(whole))
    for stream in (True, False):
        pieces: list[str] = []
        answer = connect(server.url).chat("When?", pieces, tools=TOOLS, stream=stream)
        assert (pieces, answer.text, answer.finish_reason) == ([], "", "tool_calls")
        assert answer.tool_calls == (ToolCall("aB3dE6gH9", "now", '{"zone": "UTC"}'),)
        assert answer.tool_calls[0].to_dict() == {
            "id": "aB3dE6gH9",
            "type": "function",
            "function": {"name": "now", "arguments": '{"zone": "UTC"}'},
        }
    assert server.options()["tools"] == TOOLS


def test_text_calls_no_tools(fake: Any, connect: Any) -> None:
    assert connect(fake(events(*ANSWER)).url).chat("Hello", tools=TOOLS).tool_calls == ()


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


def test_bytes_of_a_character_in_two_tokens(fake: Any, connect: Any) -> None:
    halves = [
        {"token": "bytes:\\xc3", "logprob": -0.5, "bytes": [195]},
        {"token": "bytes:\\xa4", "logprob": -0.25, "bytes": [164]},
    ]
    delta = {"event": "delta", "text": "ä", "logprobs": halves}
    answer = connect(fake(events(delta, USAGE, DONE)).url).chat("Hi", logprobs=True)
    assert b"".join(bytes(one.bytes) for one in answer.logprobs).decode() == answer.text == "ä"
    assert TokenLogprob("a", -0.5).bytes is None


def test_answer_in_one_event(fake: Any, connect: Any) -> None:
    logprobs = [{"token": "Good", "logprob": -0.5, "bytes": [71, 111, 111, 100]}]
    server = fake(BUSY, events({**WHOLE_ANSWER, "logprobs": logprobs}))
    pieces: list[str] = []
    answer = connect(server.url).chat("Hello", pieces, stream=False)
    assert pieces == ["Good day."] == [answer.text]
    assert answer.usage == ChatUsage(12, 3, 15, 64)
    assert (answer.finish_reason, answer.engine) == ("stop", DONE["engine"])
    assert answer.problem is None
    assert answer.logprobs == [TokenLogprob("Good", -0.5, (71, 111, 111, 100))]
    assert server.options() == {"stream": False}


def test_empty_answer_in_one_event(fake: Any, connect: Any) -> None:
    pieces: list[str] = []
    answer = connect(fake(events({**WHOLE_ANSWER, "text": ""})).url).chat("Hi", pieces)
    assert (pieces, answer.text, answer.finish_reason) == ([], "", "stop")


@pytest.mark.parametrize(
    "found",
    [(*DELTAS, USAGE, INVALID), ({**INVALID, **WHOLE_ANSWER, "finish_reason": "invalid"},)],
    ids=["streamed", "whole"],
)
def test_invalid_answer_says_why(found: Any, fake: Any, connect: Any) -> None:
    answer = connect(fake(events(*found)).url).chat("Hello")
    assert (answer.text, answer.finish_reason) == ("Good day.", "invalid")
    assert answer.problem == INVALID["problem"]


# what OpenAI's clients send


def test_messages_and_options_are_the_servers_to_judge(fake: Any, connect: Any) -> None:
    server = fake(events(*ANSWER))
    conversation = [
        {"role": "developer", "content": [{"type": "text", "text": "Hi"}], "name": "ann"},
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "7", "tool_call_id": "1"},
        {"role": "assistant", "content": "The answer"},
    ]
    options = {
        "continue_final_message": True,
        "max_completion_tokens": 5,
        "logit_bias": {"15": -100},
        "min_p": 0.1,
        "stop_token_ids": [2],
        "user": None,
        "n": 1,
    }
    connect(server.url).chat(conversation, **options)
    assert (server.document(), server.options()) == (conversation, options)


HALF = "cut \ud83d"


def test_half_a_character_is_an_escape(fake: Any, connect: Any) -> None:
    server = fake(events(*ANSWER))
    message = {"role": HALF, "content": HALF, HALF: HALF}
    connect(server.url).chat([message], stop=[HALF], **{HALF: HALF})
    assert server.document() == [message]
    assert server.options() == {"stop": [HALF], HALF: HALF}
    for tensor in server.requests[0].raw_input_contents:
        assert rb"\ud83d" in tensor


def test_request_id_that_cannot_be_sent(connect: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"the request id is .*must be a text that UTF-8 has"):
        connect("localhost:1").chat("Hi", request_id=HALF)


def test_option_that_json_does_not_have_is_shown_in_short(connect: Any) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, b"x" * 1_000_000, float("nan")):
        with pytest.raises(InvalidRequest, match="`bias` is") as caught:
            connect("localhost:1").chat("Hi", bias=value)
        assert len(str(caught.value)) < 1000


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
        {"event": "done", "finish_reason": "invalid", "problem": 7},
        {"event": "delta", "text": "", "logprobs": [{"token": "a"}]},
        {"event": "delta", "text": "", "logprobs": [{"token": "a", "logprob": 0, "bytes": "a"}]},
        {"event": "answer", "text": "a", "finish_reason": "stop"},
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
        connect(server.url).chat("Hello", pieces, timeout_s=2)
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

            await cancel_amid(read(), server)

    asyncio.run(call())


# limits


def test_limits(fake: Any, connect: Any) -> None:
    assert connect(fake(hangs).url).limits() == Limits(context_tokens=64, default_max_tokens=16)


def test_ledger(fake: Any) -> None:
    server = fake(hangs)
    with Client(server.url) as client:
        assert client.ledger() is None
        server.parameters = {"ledger": '{"plan": "cpu"}'}
        assert client.ledger() == Ledger("cpu")
        part = {"name": "llm", "kind": "weights", "bytes": 5}
        server.parameters = {"ledger": json.dumps({"plan": "a", "card": "b", "parts": [part]})}
        assert client.ledger() == Ledger("a", "b", parts=(LedgerPart(**part),))
        server.parameters = {"ledger": "[]"}
        with pytest.raises(BadResponse, match="ledger"):
            client.ledger()


@pytest.mark.parametrize("parameters", [{}, {"max_seq_len": "many", "max_tokens": "16"}])
def test_server_without_limits(parameters: Any, fake: Any, connect: Any) -> None:
    server = fake(hangs)
    server.parameters = parameters
    with pytest.raises(BadResponse, match="`max_seq_len` and `max_tokens`"):
        connect(server.url).limits()

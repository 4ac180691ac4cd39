"""OpenAI's chat by its SDK and by hand, in front of a server with a script."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from fake_server import DELTAS, DONE, INVALID, USAGE, events, hangs, says

from tests.waiting import PATIENCE_S

URL = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello?"}]
OVERFLOW = (
    "INVALID_ARG: the conversation takes 70 tokens and the answer may take 16 (`max_tokens`), the "
    "model's context holds 64 tokens; shorten the conversation, or lower `max_tokens`"
)


def ask(client: Any, **members: Any) -> Any:
    return client.post(URL, json={"messages": MESSAGES, **members})


def told(text: str) -> list[Any]:
    blocks = [block.removeprefix("data: ") for block in text.strip().split("\n\n")]
    return [json.loads(block) if block.startswith("{") else block for block in blocks]


def test_whole(client: Any, behind: Any) -> None:
    found = ask(client, model="gpt-4o", temperature=0, max_completion_tokens=9, user="ann", seed=1)
    document = found.json()
    assert document["choices"] == [
        {
            "index": 0,
            "logprobs": None,
            "message": {"role": "assistant", "content": "Good day.", "refusal": None},
            "finish_reason": "stop",
        }
    ]
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    assert document["usage"] == usage
    assert (document["object"], document["model"]) == ("chat.completion", "gpt-4o")
    assert document["id"] == f"chatcmpl-{found.headers['x-request-id']}"
    # whatever is an option is the server's to judge
    assert behind.options() == {
        "temperature": 0,
        "max_completion_tokens": 9,
        "user": "ann",
        "seed": 1,
    }
    assert behind.document() == MESSAGES


def test_stream(client: Any) -> None:
    found = ask(client, stream=True, stream_options={"include_usage": True})
    assert found.headers["content-type"].startswith("text/event-stream")
    *chunks, end = told(found.text)
    assert end == "[DONE]"
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[1:-1]]
    assert deltas == [{"content": "Good "}, {"content": "day."}, {}]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]]
    assert reasons == [None, None, None, "stop"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 15)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 4
    assert "usage" not in ask(client, stream=True).text


def test_logprobs(gateway: Any, fake: Any) -> None:
    token = {"token": "Good ", "logprob": -0.5, "bytes": [71]}
    delta = {"event": "delta", "text": "Good ", "logprobs": [token]}
    with gateway(fake(events(delta, DELTAS[1], USAGE, DONE)).url).client() as client:
        whole = ask(client, logprobs=True).json()
        chunks = told(ask(client, logprobs=True, stream=True).text)
    wanted = [{**token, "top_logprobs": []}]
    assert whole["choices"][0]["logprobs"]["content"] == wanted
    told_once = [chunk["choices"][0]["logprobs"] for chunk in chunks[:-1]]
    assert [one and one["content"] for one in told_once] == [None, wanted, None, None]


CALLS = [
    {"id": "aB3dE6gH9", "name": "now", "arguments": "{}"},
    {"id": "cD4eF7hI0", "name": "rain", "arguments": '{"city": "Paris"}'},
]
CALLED = (
    {"event": "tool_calls", "tool_calls": CALLS},
    USAGE,
    {**DONE, "finish_reason": "tool_calls"},
)


def test_calls_of_tools(gateway: Any, fake: Any) -> None:
    behind = fake(events(*CALLED))
    tools = [{"type": "function", "function": {"name": "now"}}]
    with gateway(behind.url).client() as client:
        whole = ask(client, tools=tools, tool_choice="required").json()
        chunks = told(ask(client, tools=tools, stream=True).text)
    wanted = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": call["arguments"]},
        }
        for call in CALLS
    ]
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": wanted,
    }
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert [choice["delta"] for choice in choices[1:-1]] == [
        {"tool_calls": [{"index": index, **call}]} for index, call in enumerate(wanted)
    ]
    assert (choices[-1]["delta"], choices[-1]["finish_reason"]) == ({}, "tool_calls")
    assert behind.options() == {"tools": tools}


TOKEN = {"token": "{", "logprob": -0.5, "bytes": [123]}
PARTS = (
    {"event": "tool_call_delta", "tool_calls": [{"index": 0, **CALLS[0]}]},
    {
        "event": "tool_call_delta",
        "tool_calls": [{"index": 1, **CALLS[1], "arguments": '{"ci'}],
        "logprobs": [TOKEN],
    },
    {"event": "tool_call_delta", "tool_calls": [{"index": 1, "arguments": 'ty": "Paris"}'}]},
)


def test_calls_come_in_parts(gateway: Any, fake: Any) -> None:
    behind = fake(events(*PARTS, *CALLED))
    one = gateway(behind.url)
    tools: Any = [{"type": "function", "function": {"name": "now"}}]
    with one.client() as client:
        chunks = told(ask(client, tools=tools, stream=True).text)
        whole = ask(client, tools=tools).json()["choices"][0]["message"]
    choices = [chunk["choices"][0] for chunk in chunks[1:-1]]
    deltas = [choice["delta"] for choice in choices]
    assert [delta["tool_calls"][0]["index"] for delta in deltas[:-1]] == [0, 1, 1]
    assert deltas[2] == {"tool_calls": [{"index": 1, "function": {"arguments": 'ty": "Paris"}'}}]}
    assert choices[1]["logprobs"]["content"] == [{**TOKEN, "top_logprobs": []}]
    assert (deltas[-1], choices[-1]["finish_reason"]) == ({}, "tool_calls")
    with (
        openai.OpenAI(base_url=f"{one.url}/v1", api_key="none", timeout=PATIENCE_S) as sdk,
        sdk.chat.completions.stream(model="any", messages=MESSAGES, tools=tools) as stream,
    ):
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert kinds.count("tool_calls.function.arguments.delta") == 3
    found = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert found == [tuple(call.values()) for call in CALLS]
    assert [call["function"]["arguments"] for call in whole["tool_calls"]] == [
        call["arguments"] for call in CALLS
    ]


def test_a_conversation_with_calls_goes_on_as_it_is(client: Any, behind: Any) -> None:
    call = {"id": "x", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    told_back = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "x", "content": "12:00"},
    ]
    assert client.post(URL, json={"messages": told_back}).status_code == 200
    assert behind.document() == told_back


def test_completions(client: Any, behind: Any) -> None:
    found = client.post("/v1/completions", json={"prompt": ["Hello?"], "max_tokens": 5}).json()
    assert (found["object"], found["choices"][0]["text"]) == ("text_completion", "Good day.")
    assert behind.document() == MESSAGES
    found = client.post("/v1/completions", json={"prompt": "Hello?", "stream": True}).text
    assert [chunk["choices"][0]["text"] for chunk in told(found)[:-1]] == ["Good ", "day.", ""]
    harmless = {"prompt": "Hello?", "suffix": None, "echo": False, "best_of": 1}
    assert client.post("/v1/completions", json={**harmless, "best_of": 2}).status_code == 200
    assert behind.options() == {"best_of": 2}  # the server refuses it by name
    client.post("/v1/completions", json=harmless)
    assert behind.options() == {}


def test_by_the_sdk(gateway: Any, behind: Any) -> None:
    url = f"{gateway(behind.url).url}/v1"

    async def at_once() -> list[str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            stream = await client.chat.completions.create(
                model="any", messages=MESSAGES, stream=True
            )
            return [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert asyncio.run(at_once()) == ["", "Good ", "day.", ""]
    with openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE_S) as client:
        answer = client.chat.completions.create(model="any", messages=MESSAGES)
    assert answer.choices[0].message.content == "Good day."


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": "Hello?"}, "messages"),
        ({"messages": ["Hello?"]}, "messages"),
        ({"messages": MESSAGES, "stream": "yes"}, "stream"),
        ({"messages": MESSAGES, "model": 4}, "model"),
        ({"messages": MESSAGES, "timeout_s": 1}, "timeout_s"),
        ({"messages": MESSAGES, "stream_options": {"include_usage": 1}}, "include_usage"),
    ],
)
def test_wrong_members(refusing: Any, body: Any, param: str) -> None:
    found = refusing.post(URL, json=body)
    assert (found.status_code, found.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": NaN}', b"[" * 100_000, b"\xff"])
def test_no_json(refusing: Any, body: bytes) -> None:
    found = refusing.post(URL, content=body)
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith("the body is")


def test_overflow(gateway: Any, fake: Any) -> None:
    url = f"{gateway(fake(says(OVERFLOW)).url).url}/v1"
    with (
        openai.OpenAI(base_url=url, api_key="none") as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.chat.completions.create(model="any", messages=MESSAGES)
    assert caught.value.code == "context_length_exceeded"
    assert "70 tokens" in caught.value.message
    assert "64 tokens" in caught.value.message


def test_an_answer_that_is_not_what_the_schema_asks_for(gateway: Any, fake: Any) -> None:
    with gateway(fake(events(*DELTAS, USAGE, INVALID)).url).client() as client:
        whole = ask(client)
        last = told(ask(client, stream=True).text)[-2]
    assert whole.status_code == 500
    assert "`age` is 200" in whole.json()["error"]["message"]
    assert "`age` is 200" in last["error"]["message"]


def test_who_leaves_a_stream_ends_the_work(gateway: Any, fake: Any) -> None:
    behind = fake(events(DELTAS[0], then=hangs))
    one = gateway(behind.url)
    with one.client() as client:
        body = {"messages": MESSAGES, "stream": True}
        with client.stream("POST", URL, json=body) as found:
            assert next(found.iter_lines()).startswith("data: ")
    assert behind.cancelled.wait(10)


def test_figures(gateway: Any, behind: Any) -> None:
    one = gateway(behind.url)
    with one.client() as client:
        ask(client)
    assert one.figure("onecard_gateway_tokens_total") == 15


def test_json_is_bounded(gateway: Any) -> None:
    """Stated or not: it would be read while nobody else is answered."""
    text = b'"' + b"x" * 2**20 + b'"'

    def pieces() -> Any:
        for _ in range(9):
            yield text

    with gateway().client() as client:
        for content in (text * 8, pieces()):
            found = client.post("/v1/chat/completions", content=content)
            assert found.status_code == 413
            message = found.json()["error"]["message"]
            assert "bytes, must have at most 8388608; send less" in message

"""OpenAI's Responses by its SDK and by hand, in front of a server with a script."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from fake_server import DELTAS, DONE, INVALID, USAGE, events

from tests.waiting import PATIENCE_S

URL = "/v1/responses"
# As LangChain writes it, and so n8n.
INPUT = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
    {"role": "user", "content": "Good."},
]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture(scope="module")
def sdk(lasting_gateway: Any, behind: Any) -> Any:
    url = f"{lasting_gateway(behind.url).url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE_S) as client:
        yield client


def test_by_the_sdk(sdk: openai.OpenAI, behind: Any) -> None:
    found = sdk.responses.create(
        model="gpt-5", input="Hello?", instructions="Be brief.", max_output_tokens=9, store=False
    )
    assert (found.output_text, found.status, found.model) == ("Good day.", "completed", "gpt-5")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (12, 3)
    assert found.incomplete_details is None
    assert behind.document() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello?"},
    ]
    assert behind.options() == {"max_tokens": 9, "store": False}


def test_stream(sdk: openai.OpenAI) -> None:
    with sdk.responses.stream(model="gpt-5", input="Hello?") as stream:
        found = list(stream)
        last = stream.get_final_response()
    kinds = [event.type.removeprefix("response.") for event in found]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in found] == list(range(10))
    assert last.output_text == "Good day."


def test_conversation_and_form(client: Any, behind: Any) -> None:
    form = {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}
    body = {
        "input": INPUT,
        "text": {"format": form},
        "temperature": 0.5,
        "truncation": "auto",
        "tools": [],
        "reasoning": {},
        "include": ["message.output_text.logprobs"],
        "previous_response_id": None,
    }
    assert client.post(URL, json=body).status_code == 200
    part = {"type": "text"}
    assert behind.document() == [
        {"role": "user", "content": [{**part, "text": "Hello?"}]},
        {"role": "assistant", "content": [{**part, "text": "Yes."}]},
        {"role": "user", "content": "Good."},
    ]
    schema = {"name": "city", "schema": SCHEMA, "strict": True}
    assert behind.options() == {
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": 0.5,
        "logprobs": True,
    }


RAIN = {"type": "function", "name": "rain", "parameters": SCHEMA, "strict": True}
CALL = {"id": "aB3dE6gH9", "name": "rain", "arguments": '{"city": "Paris"}'}
CALLED = (
    {"event": "tool_calls", "tool_calls": [CALL]},
    USAGE,
    {**DONE, "finish_reason": "tool_calls"},
)


def test_functions_by_the_sdk(gateway: Any, fake: Any) -> None:
    behind = fake(events(*CALLED))
    url = f"{gateway(behind.url).url}/v1"
    arguments: Any = {"model": "any", "input": "Hello?", "tools": [RAIN]}
    arguments["tool_choice"] = {"type": "function", "name": "rain"}
    with openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE_S) as sdk:
        whole = sdk.responses.create(**arguments)
        with sdk.responses.stream(**arguments) as stream:
            kinds = [event.type.removeprefix("response.") for event in stream]
            streamed = stream.get_final_response()
    for response in (whole, streamed):
        (call,) = response.output
        assert (response.status, call.type) == ("completed", "function_call")
        assert (call.call_id, call.name) == ("aB3dE6gH9", "rain")
        assert call.arguments == '{"city": "Paris"}'
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert behind.options() == {
        "tools": [
            {
                "type": "function",
                "function": {"name": "rain", "parameters": SCHEMA, "strict": True},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "rain"}},
    }


def test_functions_in_parts_by_the_sdk(gateway: Any, fake: Any) -> None:
    first, second = CALL, {"id": "cD4eF7hI0", "name": "rain", "arguments": "{}"}
    parts = [
        {"index": 0, **first, "arguments": '{"city"'},
        {"index": 0, "arguments": ': "Paris"}'},
        {"index": 1, **second},
    ]
    deltas = [{"event": "tool_call_delta", "tool_calls": [part]} for part in parts]
    whole = {"event": "tool_calls", "tool_calls": [first, second]}
    cut = {**DONE, "finish_reason": "length"}
    behind = fake(events(*deltas, whole, *CALLED[1:]), events(deltas[0], USAGE, cut))
    url = f"{gateway(behind.url).url}/v1"
    arguments: Any = {"model": "any", "input": "Hello?", "tools": [RAIN]}
    with openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE_S) as sdk:
        with sdk.responses.stream(**arguments) as stream:
            kinds = [event.type.removeprefix("response.") for event in stream]
            found = stream.get_final_response()
        last = list(sdk.responses.create(**arguments, stream=True))[-1]
    told = [(call.call_id, call.name, call.arguments) for call in found.output]
    assert told == [tuple(call.values()) for call in (first, second)]
    delta = "function_call_arguments.delta"
    done = ["function_call_arguments.done", "output_item.done"]
    assert kinds[2:-1] == [
        "output_item.added", delta, delta, *done, "output_item.added", delta, *done
    ]  # fmt: skip
    assert last.type == "response.incomplete"
    assert last.response.output == []


def test_calls_and_results_are_messages(client: Any, behind: Any) -> None:
    def call(call_id: str) -> dict[str, str]:
        return {"type": "function_call", "call_id": call_id, "name": "rain", "arguments": "{}"}

    def result(call_id: str, output: Any) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": call_id, "output": output}

    text = [{"type": "input_text", "text": "yes"}]
    body = {"input": [call("a"), call("b"), result("a", "no"), result("b", text), call("c")]}
    assert client.post(URL, json=body).status_code == 200
    function = {"name": "rain", "arguments": "{}"}
    calls = [{"id": one, "type": "function", "function": function} for one in "abc"]
    assert behind.document() == [
        {"role": "assistant", "content": None, "tool_calls": calls[:2]},
        {"role": "tool", "tool_call_id": "a", "content": "no"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "yes"}]},
        {"role": "assistant", "content": None, "tool_calls": calls[2:]},
    ]


def test_what_was_cut_off_is_incomplete(gateway: Any, fake: Any) -> None:
    behind = fake(events(*DELTAS, USAGE, {**DONE, "finish_reason": "length"}))
    with gateway(behind.url).client() as client:
        found = client.post(URL, json={"input": "Hello?"}).json()
    assert found["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ["Hello?"]}, "input"),
        ({"input": [{"type": "web_search_call"}]}, "input.type"),
        ({"input": "Hello?", "tools": [{"type": "web_search"}]}, "tools"),
        ({"input": "Hello?", "tools": {"type": "function"}}, "tools"),
        ({"input": [{"type": "function_call_output", "output": [{}]}]}, "input.output"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.content.type"),
        ({"input": "Hello?", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "Hello?", "text": "json"}, "text"),
        ({"input": "Hello?", "include": 5}, "include"),
        ({"input": "Hello?", "text": {"format": "json"}}, "text.format"),
    ],
)
def test_refusals(refusing: Any, body: Any, param: str) -> None:
    found = refusing.post(URL, json=body)
    assert (found.status_code, found.json()["error"]["param"]) == (400, param)


def test_error_in_a_stream(gateway: Any, fake: Any) -> None:
    with gateway(fake(events(*DELTAS, USAGE, INVALID)).url).client() as client:
        found = client.post(URL, json={"input": "Hello?", "stream": True})
    *before, last = found.text.strip().split("\n\n")
    assert last.startswith("event: error\ndata: ")
    assert f'"sequence_number": {len(before)}' in last
    assert "`age` is 200" in last

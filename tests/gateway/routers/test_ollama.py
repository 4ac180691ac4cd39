"""Ollama's API by its own package and by hand, in front of a server with a script."""

from __future__ import annotations

import json
from typing import Any

import ollama
import pytest
from fake_server import DELTAS, DONE, INVALID, USAGE, events, hangs, says

from onecard.chat import messages as chat_messages
from onecard.chat import options as chat_options

MESSAGES = [{"role": "user", "content": "Hello?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture(scope="module")
def package(lasting_gateway: Any, behind: Any) -> Any:
    with ollama.Client(host=lasting_gateway(behind.url).url) as client:
        yield client


def test_by_its_package(package: Any, behind: Any) -> None:
    client = package
    assert [model.model for model in client.list().models] == ["onecard-chat:latest"]
    shown = client.show("onecard-chat")
    assert shown.modelinfo == {"general.architecture": "onecard", "onecard.context_length": 64}
    assert client.ps().models[0].context_length == 64
    answer = client.chat(
        "mistral", MESSAGES, options={"num_predict": 5, "num_ctx": 64}, think=False
    )
    assert answer.message.content == "Good day."
    assert (answer.done_reason, answer.prompt_eval_count, answer.eval_count) == ("stop", 12, 3)
    assert answer.total_duration >= answer.prompt_eval_duration > 0
    assert behind.options() == {"max_tokens": 5, "tools": []}
    pieces = list(client.chat("mistral", MESSAGES, stream=True))
    assert [piece.message.content for piece in pieces] == ["Good ", "day.", ""]
    assert [piece.done for piece in pieces] == [False, False, True]
    text = client.generate("mistral", "Hello?", system="Be brief.")
    assert text.response == "Good day."
    assert behind.document() == [{"role": "system", "content": "Be brief."}, *MESSAGES]


def test_ends_of_lines_within_a_text(gateway: Any, fake: Any) -> None:
    text = "a\nb\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029c"
    behind = fake(events({**DELTAS[0], "text": text}, USAGE, DONE))
    with ollama.Client(host=gateway(behind.url).url) as client:
        pieces = list(client.chat("mistral", MESSAGES, stream=True))
    assert [piece.message.content for piece in pieces] == [text, ""]


def test_options(client: Any, behind: Any) -> None:
    settings = {
        "temperature": 0,
        "repeat_penalty": 1.1,
        "num_predict": -1,
        "num_gpu": 1,
        "stop": ["x"],
        "mirostat": 0,
        "\r\nset-cookie: \U0001f600": 1,
    }
    body = {"messages": MESSAGES, "options": settings, "keep_alive": -1, "stream": False}
    found = client.post("/api/chat", json=body)
    assert found.status_code == 200
    assert found.headers["x-onecard-ignored"] == "num_gpu, mirostat, ??set-cookie: ?"
    assert behind.options() == {"temperature": 0, "repetition_penalty": 1.1, "stop": ["x"]}


@pytest.mark.parametrize(
    ("kept", "reason"),
    [(0, "unload"), ("0", "unload"), ("0s", "unload"), (0.0, "unload"), ("0h0m0s", "unload"),
     (-1, "load"), ("5m", "load"), ("", "load"), (None, "load"), (False, "load")],
)  # fmt: skip
def test_nothing_to_answer_loads_or_unloads(
    client: Any, behind: Any, kept: Any, reason: str
) -> None:
    """As Ollama's server says it; the model stays loaded all the same."""
    num_requests = len(behind.requests)
    for path in ("/api/generate", "/api/chat"):
        found = client.post(path, json={"model": "m", "keep_alive": kept}).json()
        assert (found["done"], found["done_reason"]) == (True, reason)
    assert len(behind.requests) == num_requests
    answered = client.post("/api/generate", json={"prompt": "Hi", "keep_alive": 0, "stream": False})
    assert answered.json()["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ("json", {"type": "json_object"}),
        (SCHEMA, {"type": "json_schema", "json_schema": SCHEMA}),
        ("", None),
    ],
)
def test_format(client: Any, behind: Any, form: Any, wanted: Any) -> None:
    client.post("/api/chat", json={"messages": MESSAGES, "format": form})
    assert behind.options().get("response_format") == wanted


CALL = {"id": "aB3dE6gH9", "name": "rain", "arguments": '{"city": "Paris"}'}
CALLED = (
    {"event": "tool_calls", "tool_calls": [CALL]},
    USAGE,
    {**DONE, "finish_reason": "tool_calls"},
)


def rain(city: str) -> str:
    """Whether it rains.

    Args:
        city: its name
    """
    return city


def test_calls_of_tools_by_the_package(gateway: Any, fake: Any) -> None:
    behind = fake(events(*CALLED))
    with ollama.Client(host=gateway(behind.url).url) as client:
        whole = client.chat("mistral", MESSAGES, tools=[rain])
        pieces = list(client.chat("mistral", MESSAGES, tools=[rain], stream=True))
        assert "tools" in client.show("mistral").capabilities
    assert (whole.done_reason, whole.message.content) == ("stop", "")
    for message in (whole.message, pieces[0].message):
        (call,) = message.tool_calls
        assert (call.function.name, call.function.arguments) == ("rain", {"city": "Paris"})
    assert [piece.done for piece in pieces] == [False, True]
    (offered,) = behind.options()["tools"]
    assert offered["function"]["name"] == "rain"
    chat_options.read(json.dumps({"tools": [offered]}))


def test_results_find_their_calls(client: Any, behind: Any) -> None:
    def asked(*names: str) -> dict[str, Any]:
        calls = [{"function": {"name": name, "arguments": {"a": 1}}} for name in names]
        return {"role": "assistant", "content": "", "tool_calls": calls}

    def result(text: str, **members: str) -> dict[str, Any]:
        return {"role": "tool", "content": text, **members}

    told = [
        *MESSAGES,
        asked("rain", "now"),
        result("noon", tool_name="now"),
        result("no"),
        asked("rain"),
        result("yes", name="rain"),
    ]
    client.post("/api/chat", json={"messages": told})
    found = behind.document()
    ids = [[call["id"] for call in message.get("tool_calls", [])] for message in found]
    assert len({one for row in ids for one in row}) == 3
    assert [found[place]["tool_call_id"] for place in (2, 3, 5)] == [ids[1][1], ids[1][0], *ids[4]]
    chat_messages.read(json.dumps(found))
    late = client.post("/api/chat", json={"messages": [*told, result("again")]})
    assert (late.status_code, "`tool_name`" in late.json()["error"]) == (400, True)


def test_nothing_to_answer_loads_a_model(refusing: Any) -> None:
    found = refusing.post("/api/generate", json={"model": "mistral"}).json()
    assert (found["done"], found["done_reason"], found["response"]) == (True, "load", "")
    assert refusing.head("/").status_code == 200
    assert refusing.get("/api/version").json()["version"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"messages": MESSAGES, "options": {"num_ctx": 65}}, "must be at most 64"),
        ({"messages": MESSAGES, "options": {"num_ctx": "many"}}, "must be a whole number"),
        ({"messages": MESSAGES, "options": [1]}, "must be an object"),
        ({"messages": MESSAGES, "format": "yaml"}, "a JSON schema"),
        ({"messages": MESSAGES, "think": True}, "must be false"),
        ({"messages": "Hello?"}, "a list of objects"),
    ],
)
def test_refusals(refusing: Any, body: Any, reason: str) -> None:
    found = refusing.post("/api/chat", json=body)
    assert found.status_code == 400
    assert reason in found.json()["error"]


def test_a_prompt_is_no_continuation(client: Any) -> None:
    found = client.post("/api/generate", json={"prompt": "a", "suffix": "b"})
    assert (found.status_code, "`suffix`" in found.json()["error"]) == (400, True)


def test_errors(gateway: Any, fake: Any) -> None:
    refused = says("INVALID_ARG: option `tools` is `[...]`, must be left out")
    behind = fake(refused, events(*DELTAS, USAGE, INVALID))
    with gateway(behind.url).client() as client:
        early = client.post("/api/chat", json={"messages": MESSAGES, "tools": [{}]})
        late = client.post("/api/chat", json={"messages": MESSAGES})
    assert (early.status_code, "`tools`" in early.json()["error"]) == (400, True)
    assert "`age` is 200" in json.loads(late.text.splitlines()[-1])["error"]


def test_who_leaves_ends_the_work(gateway: Any, fake: Any) -> None:
    behind = fake(events(DELTAS[0], then=hangs))
    with ollama.Client(host=gateway(behind.url).url) as client:
        stream: Any = client.chat("mistral", MESSAGES, stream=True)
        next(stream)
        stream.close()
        assert behind.cancelled.wait(10)

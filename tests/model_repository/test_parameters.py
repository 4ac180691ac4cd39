"""Options where callers of other servers write them: beside the JSON, and in KServe's parameters.

Each is honoured or refused, over HTTP and gRPC. Also an answer of one event, which Triton's
`generate` needs.
"""

from __future__ import annotations

import json
import queue
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.grpc as triton

from tests.waiting import PATIENCE_S

MESSAGES = '[{"role": "user", "content": "Hi"}]'
EMAILS = '[{"id": "1", "subject": "Lunch?", "body": "Friday?"}]'
SILENCE = "\0" * 16_000  # half a second of raw PCM
RAW = {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
# What a request of each model needs, the options of an answer in one event, and others.
CALLS = [
    pytest.param("chat", {"MESSAGES": MESSAGES}, {"max_tokens": 2}, id="chat"),
    pytest.param("triage", {"EMAILS": EMAILS}, {"max_tokens_per_mail": 120}, id="triage"),
    pytest.param("transcribe_stream", {"AUDIO": SILENCE, "OPTIONS": "{}"}, RAW, id="transcribe"),
]


def post(server: Any, path: str, **body: Any) -> tuple[int, list[dict[str, Any]], str]:
    """The status, the events, and the whole text."""
    url = f"http://{server.http_url}/v2/models/{path}"
    answer = requests.post(url, json=body, timeout=PATIENCE_S)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    found = [json.loads(line) for line in lines]
    return answer.status_code, [json.loads(x["EVENT"]) for x in found if "EVENT" in x], answer.text


def infer(server: Any, model: str, inputs: dict[str, str], **parameters: Any) -> Any:
    """The events over gRPC, or the error."""
    events = []
    tensors = []
    for name, text in inputs.items():
        tensors.append(triton.InferInput(name, [1, 1], "BYTES"))
        tensors[-1].set_data_from_numpy(np.array([[text]], dtype=np.object_))
    request = {"model_name": model, "inputs": tensors, "parameters": parameters}
    with triton.InferenceServerClient(server.grpc_url) as client:
        try:
            for result, error in _streamed(client, request):
                if error is not None:
                    return str(error)
                if result.as_numpy("EVENT") is not None:
                    events.append(json.loads(result.as_numpy("EVENT").reshape(-1)[0]))
        finally:
            client.stop_stream(cancel_requests=True)
    return events


def _streamed(client: Any, request: dict[str, Any]) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer(enable_empty_final_response=True, **request)
    is_final = False
    while not is_final:
        result, error = answers.get(timeout=PATIENCE_S)
        yield result, error
        parameters = result.get_response().parameters if result is not None else {}
        is_final = error is not None or parameters["triton_final_response"].bool_param


def verify_one(events: list[dict[str, Any]], model: str) -> None:
    """It is the whole answer, and followed what was asked."""
    [event] = events
    if model == "triage":
        assert event["event"] == "verdicts"
        assert [verdict["id"] for verdict in event["verdicts"]] == ["1"]
        assert event["summary"]["mails"] == 1
        assert event["summary"]["calls"][0]["completion_tokens"] <= 120
    elif model == "transcribe_stream":
        assert event["event"] == "result"
        assert event["result"]["options"]["sample_rate"] == 16_000
        assert event["result"]["duration_s"] == 0.5
    else:
        assert event["usage"]["max_tokens"] == 2


@pytest.mark.parametrize(("model", "inputs", "options"), CALLS)
def test_generate_answers_with_one_event(server, model, inputs, options):
    for body in (
        {**inputs, "OPTIONS": json.dumps({**options, "stream": False})},
        {**inputs, **options, "stream": False},
        {**inputs, "parameters": {**options, "stream": False}},
    ):
        status, events, text = post(server, f"{model}/generate", **body)
        assert status == 200, text
        verify_one(events, model)


@pytest.mark.parametrize(("model", "inputs", "options"), CALLS)
def test_parameters_of_grpc_are_options(server, model, inputs, options):
    verify_one(infer(server, model, inputs, stream=False, **options), model)
    texts = {name: str(value) for name, value in options.items()}  # old clients have no others
    verify_one(infer(server, model, inputs, stream="false", **texts), model)


@pytest.mark.parametrize(("model", "inputs", "options"), CALLS)
def test_what_is_said_twice_or_unknown_is_refused(server, model, inputs, options):
    name = next(name for name in reversed(options) if name != "encoding")
    twice = {**inputs, "OPTIONS": json.dumps(options), name: 99}
    for body, says in (
        (
            twice,
            f"`{name}` is `{options[name]}` in OPTIONS and `99` among the request's parameters",
        ),
        ({**inputs, "parameters": {"strem": False}}, "did you mean `stream`"),
        ({**inputs, name[:-1]: 3}, f"did you mean `{name}`"),
        ({**inputs, name: 1.5}, f"`{name}` is `1.5`, must be a whole number"),
        ({**inputs, "timeout": "soon"}, "microseconds"),
    ):
        status, events, text = post(server, f"{model}/generate_stream", **body)
        assert (status, events) == (400, [])
        assert says in json.loads(text.removeprefix("data: "))["error"]
    error = infer(server, model, inputs, **{name[:-1]: "3"})
    assert f"did you mean `{name}`" in error


def test_a_timeout_counts_where_generate_leaves_it(server):
    for place in ({"timeout": 200_000}, {"parameters": {"timeout": 200_000}}):
        body = {"EMAILS": EMAILS, "stream": False, **place}
        status, _, text = post(server, "triage/generate", **body)
        assert "timeout of 0.2 s has passed" in text, (status, text)


def test_an_ensemble_hands_its_parameters_to_its_steps(server):
    def options(**parameters: Any) -> Any:
        tensors = []
        for name, text in (("AUDIO", SILENCE), ("OPTIONS", json.dumps(RAW))):
            tensors.append(triton.InferInput(name, [1, 1], "BYTES"))
            tensors[-1].set_data_from_numpy(np.array([[text]], dtype=np.object_))
        with triton.InferenceServerClient(server.grpc_url) as client:
            found = client.infer("transcribe", tensors, parameters=parameters)
        return json.loads(found.as_numpy("RESULT").reshape(-1)[0])["options"]

    found = options(language="de", chunk_size="20.5", align=False)
    assert (found["language"], found["chunk_size"], found["align"]) == ("de", 20.5, False)
    with pytest.raises(triton.InferenceServerException, match="did you mean `language`"):
        options(langage="de")
    with pytest.raises(triton.InferenceServerException, match="give it once"):
        options(channels=2)

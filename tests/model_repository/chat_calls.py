"""Requests to the model `chat` over gRPC and HTTP, and what the engine under it is busy with."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import requests
import tritonclient.grpc as triton

from tests.waiting import PATIENCE_S, until

# Tokens that nobody waits for: `min_tokens` keeps the model from ending by itself.
LONG = {"max_tokens": 4000, "min_tokens": 4000}
STORY = "Write a very long story."


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Answer:
    """One request to `chat` on a connection of its own, and its events as they come."""

    def __init__(self, server: Any, messages: Any, timeout_us: int | None = None, **options: Any):
        self._arrived: queue.Queue[Any] = queue.Queue()
        self._client = triton.InferenceServerClient(server.grpc_url)
        self._client.start_stream(lambda result, error: self._arrived.put((result, error)))
        documents = {"MESSAGES": user(messages) if isinstance(messages, str) else messages}
        if options:
            documents["OPTIONS"] = options
        inputs = []
        for name, document in documents.items():
            inputs.append(triton.InferInput(name, [1, 1], "BYTES"))
            value = np.array([[json.dumps(document)]], dtype=np.object_)
            inputs[-1].set_data_from_numpy(value)
        self._client.async_stream_infer(
            "chat", inputs, enable_empty_final_response=True, timeout=timeout_us
        )
        self.events: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Events until the last; an error is raised."""
        is_final = False
        while not is_final:
            result, error = self._arrived.get(timeout=PATIENCE_S)
            if error is not None:
                self.leave()
                raise error
            value = result.as_numpy("EVENT")
            if value is not None:
                self.events.append(json.loads(value.reshape(-1)[0]))
                yield self.events[-1]
            is_final = result.get_response().parameters["triton_final_response"].bool_param
        self.leave()

    def wait(self) -> Answer:
        for _ in self:
            pass
        return self

    def begin(self) -> Answer:
        """Wait for the first event."""
        next(iter(self))
        return self

    def leave(self) -> None:
        """Drop the connection, in the middle of the answer or after it."""
        self._client.stop_stream(cancel_requests=True)
        self._client.close()

    @property
    def text(self) -> str:
        return "".join(event["text"] for event in self.events if event["event"] == "delta")

    @property
    def tokens(self) -> list[str]:
        deltas = [event for event in self.events if event["event"] == "delta"]
        return [entry["token"] for delta in deltas for entry in delta["logprobs"]]

    @property
    def usage(self) -> dict[str, Any]:
        return self.events[-2]

    @property
    def reason(self) -> str:
        return str(self.events[-1]["finish_reason"])


def ask(server: Any, messages: Any, **options: Any) -> Answer:
    return Answer(server, messages, **options).wait()


def metrics(server: Any, name: str, label: str = "") -> float:
    """The sum of a metric's values, of those with `label` in their labels."""
    text = requests.get(f"http://{server.metrics_url}/metrics", timeout=PATIENCE_S).text
    found = [line for line in text.splitlines() if line.startswith(name + "{") and label in line]
    assert found, f"no metric {name} {label}"
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def steps(server: Any) -> float:
    """How often the engine has computed something."""
    return metrics(server, "nv_trt_llm_general_metrics", "iteration_counter")


def is_idle(server: Any) -> bool:
    """Whether the engine has no sequence and holds no KV cache."""
    active = metrics(server, "nv_trt_llm_request_metrics", 'request_type="active"')
    used = metrics(server, "nv_trt_llm_kv_cache_block_metrics", 'kv_cache_block_type="used"')
    return active == used == 0


def until_idle(server: Any) -> None:
    until(lambda: is_idle(server), "the engine is still busy")


def until_busy(server: Any) -> None:
    """The metrics are some tenths of a second old."""

    def is_busy() -> bool:
        """An engine that has not been asked for anything yet has no metrics."""
        text = requests.get(f"http://{server.metrics_url}/metrics", timeout=PATIENCE_S).text
        return "nv_trt_llm_kv_cache_block_metrics{" in text and not is_idle(server)

    until(is_busy, "the engine is still idle")

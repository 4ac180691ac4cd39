"""`chat` over gRPC against the engine called directly: tokens a second, time to the first token.

Both run the same loop with the same settings on the same prompt in turn: the direct one in this
process, the other in a server of its own.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from bench.interleave import differences, interleaved, num_rounds, ratios, spread
from bench.serving import serving
from onecard.contract import trtllm
from onecard.llm import tokenizer
from onecard.llm.message import Message
from onecard.python_backend import threads
from onecard_client import Client

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "backends" / "tensorrtllm"))

from tensorrtllm_cpu.contract import settings  # noqa: E402  (found where the line above points)
from tensorrtllm_cpu.llm.metrics import Metrics  # noqa: E402
from tensorrtllm_cpu.llm.service import LlmService  # noqa: E402

QUESTION = "Tell me the story of a lighthouse and the people who kept it."
NUM_TOKENS = 200
STREAMS = (1, 4)
ROUNDS = 6


def ignore(_: float) -> None: ...


Times = tuple[float, float]  # seconds to the first token, to the last


def measure() -> dict[str, Any]:
    """Medians, their ratios and the spread of the ratios over the rounds."""
    direct = Direct()
    rounds = num_rounds(ROUNDS)
    found: dict[str, Any] = {"tokens": NUM_TOKENS}
    with serving() as server:
        served = Served(server.client)
        assert direct.text() == served.text(), "the engine says something else through the server"
        for num_streams in STREAMS:
            sides = {
                "direct": partial(together, direct.run, num_streams),
                "served": partial(together, served.run, num_streams),
            }
            found[f"streams_{num_streams}"] = summary(num_streams, **interleaved(sides, rounds))
    direct.close()
    return found


def together(run: Callable[[], Times], num_streams: int) -> tuple[float, float]:
    """Tokens a second of all streams, and the median time to the first token."""
    times: list[Times] = []
    workers = [threading.Thread(target=lambda: times.append(run())) for _ in range(num_streams)]
    started_s = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed_s = time.monotonic() - started_s
    return num_streams * NUM_TOKENS / elapsed_s, statistics.median(first for first, _ in times)


def summary(
    num_streams: int, direct: Sequence[tuple[float, float]], served: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Of rounds of (tokens a second, seconds to the first token)."""
    direct_speed, direct_first_s = zip(*direct, strict=True)
    served_speed, served_first_s = zip(*served, strict=True)
    ratio = spread(ratios(served_speed, direct_speed))
    later_ms = spread([1000 * s for s in differences(served_first_s, direct_first_s)])
    found = {
        "direct_tokens_per_s": spread(direct_speed),
        "served_tokens_per_s": spread(served_speed),
        "ratio": ratio,
        "direct_first_token_ms": spread([1000 * s for s in direct_first_s]),
        "first_token_later_ms": later_ms,
    }
    print(
        f"  {num_streams} stream(s): direct {found['direct_tokens_per_s']['median']:.0f} tokens/s, "
        f"through the server {found['served_tokens_per_s']['median']:.0f}: {ratio['median']:.3f} "
        f"({ratio['low']:.3f} to {ratio['high']:.3f}); first token {later_ms['median']:.1f} ms "
        f"later ({later_ms['low']:.1f} to {later_ms['high']:.1f})",
        flush=True,
    )
    return found


class Served:
    """`chat` of a running server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def text(self) -> str:
        return "".join(self._stream())

    def run(self) -> Times:
        started_s = time.monotonic()
        stream = iter(self._stream())
        next(stream)
        first_s = time.monotonic() - started_s
        for _ in stream:
            pass
        return first_s, time.monotonic() - started_s

    def _stream(self) -> Any:
        return self._client.chat(
            QUESTION, max_tokens=NUM_TOKENS, min_tokens=NUM_TOKENS, temperature=0.0
        )


class Direct:
    """The engine in this process, with the settings of the model repository."""

    def __init__(self) -> None:
        config = model_config_pb2.ModelConfig()
        text = (ROOT / "model_repository" / "llm" / "config.pbtxt").read_text(encoding="utf-8")
        text_format.Parse(text, config)
        found = json_format.MessageToDict(config, preserving_proto_field_name=True)
        one = settings.read(found, threads.num_threads(1.0))
        metrics = Metrics(lambda *_: SimpleNamespace(set=ignore, observe=ignore), "llm", "1")
        self._service = LlmService(one, metrics, print)
        parameters = {key: value["string_value"] for key, value in found["parameters"].items()}
        self._tokenizer = tokenizer.load(parameters["tokenizer_dir"])

    def text(self) -> str:
        detokenizer = self._tokenizer.detokenizer()
        return detokenizer.push(self._run().ids) + detokenizer.flush()

    def run(self) -> Times:
        receiver = self._run()
        return receiver.first_s - receiver.started_s, receiver.last_s - receiver.started_s

    def close(self) -> None:
        self._service.close()

    def _run(self) -> Receiver:
        prompt = self._tokenizer.encode_chat([Message("user", QUESTION)])
        receiver = Receiver()
        self._service.take(Request(prompt, self._tokenizer.end_ids[0]), receiver)
        receiver.ended.wait()
        return receiver


class Request:
    """What the engine reads of a Triton request."""

    def __init__(self, prompt: Sequence[int], end_id: int) -> None:
        numbers = {
            "input_lengths": len(prompt),
            "request_output_len": NUM_TOKENS,
            "min_tokens": NUM_TOKENS,
            "end_id": end_id,
        }
        self._tensors = {name: np.array([[value]], np.int32) for name, value in numbers.items()}
        self._tensors["input_ids"] = np.array([prompt], np.int32)
        self._tensors["streaming"] = np.array([[True]])

    def inputs(self) -> list[Any]:
        return [
            SimpleNamespace(name=lambda name=name: name, as_numpy=lambda value=value: value)
            for name, value in self._tensors.items()
        ]

    def request_id(self) -> str:
        return ""

    def requested_output_names(self) -> Sequence[str]:
        return trtllm.REQUIRED_OUTPUTS


class Receiver:
    """When responses came, and their tokens."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.first_s = self.last_s = 0.0
        self.ids: list[int] = []
        self.ended = threading.Event()

    def send(self, outcome: Any, is_final: bool) -> None:
        self.last_s = time.monotonic()
        self.first_s = self.first_s or self.last_s
        if isinstance(outcome, dict):
            self.ids += outcome["output_ids"][0].tolist()
        if is_final:
            self.ended.set()

    def is_cancelled(self) -> bool:
        return False

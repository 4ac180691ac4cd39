"""A server of the benchmark's own, a client of it, and what Triton counts while it works."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tritonclient.grpc as triton

from build_scripts.server.door.order import owner_headers
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import running
from onecard_client import Client

Times = dict[str, dict[str, float]]  # model -> `requests`, `queue_s`, `compute_s`


@dataclass(frozen=True)
class Serving:
    """A ready server; `ready_s` is the time from the command to it."""

    settings: Settings
    client: Client
    ready_s: float

    @property
    def grpc_url(self) -> str:
        return f"{self.settings.reachable_address}:{self.settings.grpc_port}"

    def times(self) -> Times:
        """What every model has spent so far."""
        return times(self.grpc_url)

    def batches(self, model: str) -> Counter[int]:
        """How often `model` has run each size of batch so far."""
        with owner_client(self.grpc_url) as client:
            (found,) = client.get_inference_statistics(model).model_stats
        return Counter({one.batch_size: one.compute_infer.count for one in found.batch_stats})


@contextlib.contextmanager
def serving() -> Iterator[Serving]:
    """`serve` on free ports with a connected client; ended when the block is left."""
    started_s = time.monotonic()
    with running() as settings:
        ready_s = time.monotonic() - started_s
        with Client(f"{settings.reachable_address}:{settings.grpc_port}") as client:
            client.health()  # connects, which is nobody's first request
            yield Serving(settings, client, ready_s)


class _Owner(triton.InferenceServerClientPlugin):
    """Adds the header by which a server of this checkout knows its owner."""

    def __init__(self, grpc_url: str) -> None:
        self._headers = owner_headers(grpc_url)

    def __call__(self, request: Any) -> None:
        request.headers = {**(request.headers or {}), **self._headers}


def owner_client(grpc_url: str) -> triton.InferenceServerClient:
    """A client that reaches the steps and the engines too, and every API."""
    client = triton.InferenceServerClient(grpc_url)
    client.register_plugin(_Owner(grpc_url))
    return client


def times(grpc_url: str) -> Times:
    """What every model of a server has spent so far, from Triton's per-model statistics.

    `queue_s`: requests waiting for an instance; `compute_s`: within it, and so also what it
    waited for models that it called. Of a streaming Python model Triton counts the time until the
    request is taken, and not what happens until its last response.
    """
    with owner_client(grpc_url) as client:
        found = client.get_inference_statistics()
    return {one.name: _times(one.inference_stats) for one in found.model_stats}


def spent(before: Times, after: Times) -> Times:
    """What every model spent between two looks, of those that did anything."""
    found = {}
    for name, times in after.items():
        earlier: Mapping[str, float] = before.get(name, {})
        found[name] = {key: value - earlier.get(key, 0.0) for key, value in times.items()}
    return {name: times for name, times in found.items() if times["requests"]}


def _times(statistics: triton.service_pb2.InferStatistics) -> dict[str, float]:
    compute_ns = sum(
        getattr(statistics, name).ns
        for name in ("compute_input", "compute_infer", "compute_output")
    )
    return {
        "requests": statistics.success.count,
        "queue_s": statistics.queue.ns / 1e9,
        "compute_s": compute_ns / 1e9,
    }

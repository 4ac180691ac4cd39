"""How busy a decoder-only model is, under the names of NVIDIA's backend.

The families, labels and texts of custom_metrics_reporter.cc (NVIDIA/TensorRT-LLM,
triton_backend/inflight_batcher_llm/src), so that one dashboard serves both backends; how a metric
reaches Triton is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tensorrtllm_cpu.llm.inflight import Load
from tensorrtllm_cpu.llm.model import DecoderModel

REQUESTS = "nv_trt_llm_request_metrics"
MEMORY = "nv_trt_llm_runtime_memory_metrics"
KV_CACHE = "nv_trt_llm_kv_cache_block_metrics"
BATCHER = "nv_trt_llm_inflight_batcher_metrics"
GENERAL = "nv_trt_llm_general_metrics"
# Ours: NVIDIA's gauges count blocks, and do not say how large one is.
KV_BYTES = "onecard_kv_cache_bytes"
# Histograms over finished requests.
INPUT_LENGTHS = "nv_llm_input_token_len"
OUTPUT_LENGTHS = "nv_llm_output_token_len"
LENGTH_BUCKETS = (10.0, 50.0, 100.0, 500.0, 1000.0)

# Family: what it is, and the label that tells its metrics apart.
FAMILIES: Mapping[str, tuple[str, str]] = {
    REQUESTS: ("TRT LLM request metrics", "request_type"),
    MEMORY: ("TRT LLM runtime memory metrics", "memory_type"),
    KV_CACHE: ("TRT LLM KV cache block metrics", "kv_cache_block_type"),
    BATCHER: ("TRT LLM inflight_batcher-specific metrics", "inflight_batcher_specific_metric"),
    GENERAL: ("General TRT LLM metrics", "general_type"),
    KV_BYTES: ("Bytes of the KV cache: of one token, of all of it, in use", "type"),
    INPUT_LENGTHS: ("TRT LLM response metrics", "response_metric_type"),
    OUTPUT_LENGTHS: ("TRT LLM response metrics", "response_metric_type"),
}


class Metric(Protocol):
    """A gauge, which is set, or a histogram, which observes."""

    def set(self, value: float) -> None: ...
    def observe(self, value: float) -> None: ...


# Family, description, labels, and the buckets of a histogram (none: a gauge).
Create = Callable[[str, str, Mapping[str, str], Sequence[float]], Metric]


class Metrics:
    """The metrics of one model. Values that did not change are not sent again."""

    def __init__(self, create: Create, model: str, version: str) -> None:
        self._create = create
        self._labels = {"model": model, "version": version}
        self._metrics: dict[tuple[str, str], Metric] = {}
        self._values: dict[tuple[str, str], float] = {}

    def publish(self, load: Load, model: DecoderModel) -> None:
        """Bring every metric up to date."""
        block_bytes = model.tokens_per_block * model.kv_bytes_per_token
        cap_bytes = load.max_blocks * block_bytes
        values = {
            (REQUESTS, "active"): load.num_waiting + load.num_running,
            (REQUESTS, "max"): load.max_sequences,
            (REQUESTS, "scheduled"): load.num_running,
            (REQUESTS, "context"): load.num_in_context_phase,
            (REQUESTS, "waiting"): load.num_waiting,
            (MEMORY, "cpu"): cap_bytes,
            (MEMORY, "gpu"): 0,
            (MEMORY, "pinned"): 0,
            (KV_CACHE, "max"): load.max_blocks,
            (KV_CACHE, "free"): load.max_blocks - load.num_used_blocks,
            (KV_CACHE, "used"): load.num_used_blocks,
            (KV_CACHE, "tokens_per"): model.tokens_per_block,
            (KV_CACHE, "reused"): 0,
            (KV_CACHE, "fraction"): load.num_used_blocks / load.max_blocks,
            (BATCHER, "total_context_tokens"): load.num_context_tokens,
            (BATCHER, "generation_requests"): load.num_running - load.num_in_context_phase,
            (BATCHER, "micro_batch_id"): 0,
            (BATCHER, "paused_requests"): 0,
            (KV_BYTES, "per_token"): model.kv_bytes_per_token,
            (KV_BYTES, "cap"): cap_bytes,
            (KV_BYTES, "used"): load.num_used_blocks * block_bytes,
        }
        if self._values.get((GENERAL, "iteration_counter")) != load.num_steps:
            values[GENERAL, "iteration_counter"] = load.num_steps
            values[GENERAL, "timestamp"] = int(time.time() * 1e6)
        for key, value in values.items():
            if self._values.get(key) != value:
                self._metric(*key).set(value)
                self._values[key] = value

    def finished(self, num_tokens_in: int, num_tokens_out: int) -> None:
        """Count a request that is done."""
        self._metric(INPUT_LENGTHS, "total_input_tokens", LENGTH_BUCKETS).observe(num_tokens_in)
        self._metric(OUTPUT_LENGTHS, "total_output_tokens", LENGTH_BUCKETS).observe(num_tokens_out)

    def _metric(self, family: str, kind: str, buckets: Sequence[float] = ()) -> Metric:
        if (family, kind) not in self._metrics:
            description, label = FAMILIES[family]
            labels = {**self._labels, label: kind}
            self._metrics[family, kind] = self._create(family, description, labels, buckets)
        return self._metrics[family, kind]

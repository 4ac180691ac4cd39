"""Requests of the contract to a decoder-only model, in process and over gRPC."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.backends import wire
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engines" / "cpu" / "llm"
OUTPUTS = ("output_ids", "sequence_length")
END = 2  # <|im_end|>
# "<|im_start|>user\nName a colour and an animal.<|im_end|>\n<|im_start|>assistant\n"
PROMPT = (1, 4093, 198, 12072, 253, 4437, 284, 354, 2671, 30, 2, 198, 1, 520, 9531, 198)


def tensors(prompt: Sequence[int] = PROMPT, num_tokens: int = 20, **more: Any) -> dict[str, Any]:
    """Wire tensors with their batch dimension of 1; None leaves one out."""
    given = {
        "input_ids": prompt,
        "input_lengths": len(prompt),
        "request_output_len": num_tokens,
        "end_id": END,
        **more,
    }
    return wire.batched(given)


def words(*found: Sequence[int]) -> list[list[int]]:
    """The two-row form of word lists: ids, and where each word ends, filled up with -1."""
    ids = [token for word in found for token in word]
    ends = np.cumsum([len(word) for word in found]).tolist()
    return [ids, ends + [-1] * (len(ids) - len(ends))]


class Incoming(wire.Incoming):
    """A request to the model."""

    def __init__(
        self, inputs: dict[str, Any], request_id: str = "", outputs: Sequence[str] = OUTPUTS
    ) -> None:
        super().__init__(inputs, request_id, outputs)


class Receiver:
    """Where a request's responses arrive."""

    def __init__(self) -> None:
        self.responses: list[dict[str, Any]] = []
        self.error: Any = None
        self.is_gone = False
        self.began = threading.Event()
        self.ended = threading.Event()

    def send(self, outcome: Any, is_final: bool) -> None:
        assert not self.ended.is_set(), "a response after the final one"
        if isinstance(outcome, dict):
            self.responses.append(outcome)
        elif outcome is not None:
            self.error = outcome
        self.began.set()
        if is_final:
            self.ended.set()

    def is_cancelled(self) -> bool:
        return self.is_gone

    def wait(self) -> Receiver:
        assert self.ended.wait(PATIENCE_S), "no final response"
        return self

    @property
    def ids(self) -> list[int]:
        return [token for one in self.responses for token in one["output_ids"][0].tolist()]

    def joined(self, name: str) -> list[float]:
        return [value for one in self.responses for value in one[name].reshape(-1).tolist()]


def config(max_batch_size: int = 4, max_queue_size: int = 8, **changes: str) -> dict[str, Any]:
    """A model configuration as Triton hands it to the backend."""
    texts = {
        "gpt_model_type": "inflight_fused_batching",
        "gpt_model_path": str(ENGINE),
        "max_tokens_in_paged_kv_cache": "4096",
        "max_attention_window_size": "2048",
        "batch_scheduler_policy": "guaranteed_no_evict",
        "exclude_input_in_output": "true",
        "normalize_log_probs": "false",
        "tokenizer_dir": str(ENGINE / "tokenizer"),
        "guided_decoding_backend": "xgrammar",
        "xgrammar_tokenizer_info_path": str(ENGINE / "xgrammar_tokenizer_info.json"),
        "cancellation_check_period_ms": "20",
        "cpu_max_num_tokens": "128",
        **changes,
    }
    return {
        "name": "llm",
        "max_batch_size": max_batch_size,
        "model_transaction_policy": {"decoupled": True},
        "dynamic_batching": {"default_queue_policy": {"max_queue_size": max_queue_size}},
        "parameters": {key: {"string_value": text} for key, text in texts.items()},
    }


def text_of(ids: Sequence[int]) -> str:
    """The ids as text."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(ENGINE / "tokenizer" / "tokenizer.json")).decode(list(ids))


def prompt_of(text: str) -> list[int]:
    """A user's message in the model's chat template."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(ENGINE / "tokenizer" / "tokenizer.json"))
    whole = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    return tokenizer.encode(whole, add_special_tokens=False).ids


def is_json(ids: Sequence[int]) -> Any:
    return json.loads(text_of(ids))

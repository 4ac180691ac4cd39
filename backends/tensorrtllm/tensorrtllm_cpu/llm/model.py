"""What a decoder-only model has to be for the in-flight batching loop: the small engine seam.

`openvino` and `llama_cpp` implement the interface; the facts lie beside every model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tensorrtllm_cpu.contract.request import Array
from tensorrtllm_cpu.contract.settings import SettingsError


@dataclass(frozen=True)
class Slice:
    """One sequence's part of a step: `tokens` follow the `past` ones that the cache holds.

    `slot`: which sequence, from 0 to below the largest number of sequences.
    """

    slot: int
    tokens: Sequence[int]
    past: int


class DecoderModel(Protocol):
    """A loaded model with a KV cache of its own. One thread at a time."""

    vocab_size: int
    max_positions: int  # the longest sequence that it was trained for
    kv_bytes_per_token: int
    tokens_per_block: int  # what the cache is handed out in
    description: str

    def forward(self, slices: Sequence[Slice]) -> Array:
        """Logits, FP32 [len(slices), vocab_size], after the last token of each slice."""

    def release(self, slot: int) -> None:
        """Forget the sequence in `slot`."""


@dataclass(frozen=True)
class Facts:
    """`config.json` of an engine directory, under Hugging Face's names."""

    vocab_size: int
    num_hidden_layers: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int

    @classmethod
    def read(cls, directory: Path) -> Facts:
        """Raises SettingsError where the file lacks a fact."""
        path = directory / "config.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: int(found[name]) for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"`{path}` does not state {', '.join(cls.__dataclass_fields__)} ({error!r}); "
                "make the engine again: `make engines`"
            ) from error

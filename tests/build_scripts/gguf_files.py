"""Makes small GGUF files: a real model of one layer, and every way in which a file can be wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quantize
from tokenizers import pre_tokenizers

HIDDEN, NUM_HEADS, NUM_KV_HEADS, FEED_FORWARD, CONTEXT = 64, 2, 1, 128, 512
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONTROL, NORMAL = 3, 1


def metadata(**changes: Any) -> dict[str, Any]:
    """What a good file states, byte-level BPE with one merge; None takes a key out."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    stated = {
        "llama.block_count": 1,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": NUM_HEADS,
        "llama.attention.head_count_kv": NUM_KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
        "llama.rope.dimension_count": HIDDEN // NUM_HEADS,
        "llama.vocab_size": len(SPECIAL) + len(letters) + 1,
        "general.file_type": 1,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": [*SPECIAL, *letters, "he"],
        "tokenizer.ggml.token_type": [CONTROL] * len(SPECIAL) + [NORMAL] * (len(letters) + 1),
        "tokenizer.ggml.merges": ["h e"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": TEMPLATE,
        **changes,
    }
    return {key: value for key, value in stated.items() if value is not None}


def of_tokenizer(tokenizer: Path, pre: str) -> dict[str, Any]:
    """The metadata of a file with the vocabulary of a tokenizer.json, split in the manner `pre`."""
    document = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = document["model"]["vocab"]
    special = {token["content"] for token in document["added_tokens"]}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    changes = {
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if token in special else NORMAL for token in tokens],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in document["model"]["merges"]],
        "llama.vocab_size": len(tokens),
    }
    return metadata(**changes)


def write(
    path: Path,
    stated: Mapping[str, Any] | None = None,
    architecture: str = "llama",
    weights: str = "F16",
    seed: int = 0,
) -> Path:
    """A file with random weights of the type `weights`."""
    stated = metadata() if stated is None else stated
    writer = GGUFWriter(path, architecture)
    for key, value in stated.items():
        _add(writer, key.replace("llama.", f"{architecture}."), value)
    random = np.random.default_rng(seed)
    kind = GGMLQuantizationType[weights]
    for name, shape in _shapes(len(stated["tokenizer.ggml.tokens"])).items():
        values = random.normal(0, 0.02, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values + 1)
        else:
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(vocab_size: int) -> dict[str, tuple[int, ...]]:
    kv = HIDDEN // NUM_HEADS * NUM_KV_HEADS
    layer = {
        "attn_norm": (HIDDEN,),
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (kv, HIDDEN),
        "attn_v": (kv, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_norm": (HIDDEN,),
        "ffn_gate": (FEED_FORWARD, HIDDEN),
        "ffn_up": (FEED_FORWARD, HIDDEN),
        "ffn_down": (HIDDEN, FEED_FORWARD),
    }
    return {
        "token_embd.weight": (vocab_size, HIDDEN),
        "output_norm.weight": (HIDDEN,),
        **{f"blk.0.{name}.weight": shape for name, shape in layer.items()},
    }


def _add(writer: GGUFWriter, key: str, value: Any) -> None:
    if key == "general.alignment":
        writer.add_custom_alignment(value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)

"""Ollama's memory for a GGUF model, by the arithmetic of the ledger.

Tests compare its sums with what an author measured, as a check of that arithmetic.
"""

from __future__ import annotations

from build_scripts.console import MIB
from build_scripts.memory.line import Line
from build_scripts.memory.shapes import LLMS, LlmShape

PROCESS = "ollama"
# Bits of a weight with its scales (ggml/src/ggml-common.h: blocks of 256 in 144 and 210 bytes).
Q4_K, Q6_K = 144 * 8 / 256, 210 * 8 / 256
BATCH_TOKENS = 512  # of one step; its logits are the largest tensor of the compute buffer
CONTEXT_BYTES = 300 * MIB  # estimated, as for any process with CUDA

# What its author measured of the 24B model (dev.to/sikamikanikobg, 2026-06-03), by num_ctx. "GB" is
# read as GiB: 1.25 "GB" of KV cache at 8192 tokens are 1.25 GiB, 6.1 at 40,000 are 6.10 GiB.
CONTEXTS = (40960, 8192)
AUTHOR_GIB = {40960: 18.3, 8192: 14.2}


def has_more_bits(layer: int, num_layers: int) -> bool:
    """Whether Q4_K_M keeps attn_v and ffn_down of a layer in Q6_K (llama.cpp's llama-quant.cpp):
    the first and last eighth, and every third between."""
    eighth = num_layers // 8
    if layer < eighth or layer >= 7 * num_layers // 8:
        return True
    return (layer - eighth) % 3 == 2


def q4_k_m_bytes(shape: LlmShape) -> tuple[int, int]:
    """Of all matrices but the token embedding, and of that: it stays in the host's memory."""
    keys = shape.num_kv_heads * shape.head_dim
    choosy = shape.width * keys + shape.intermediate * shape.width  # attn_v, ffn_down
    better = sum(has_more_bits(layer, shape.num_layers) for layer in range(shape.num_layers))
    parameters = shape.parameters
    at_six = better * choosy
    at_four = parameters.linear - at_six
    bits = at_six * Q6_K + at_four * Q4_K + parameters.lm_head * Q6_K + parameters.other * 32
    return int(bits / 8), int(parameters.embedding * Q4_K / 8)


def lines(context_tokens: int, shape: LlmShape = LLMS["mistral-small-24b"]) -> list[Line]:
    """What is on the GPU; one sequence, KV cache at 16 bits, all layers offloaded."""
    weights, _ = q4_k_m_bytes(shape)
    buffer = BATCH_TOKENS * (shape.vocab + shape.intermediate) * 4
    return [
        Line("Q4_K_M, without the token embedding", PROCESS, "weights", weights, "computed",
             f"{shape.parameters.total - shape.parameters.embedding:,} parameters"),
        Line("KV cache", PROCESS, "kv", context_tokens * shape.kv_bytes_per_token, "computed",
             f"{context_tokens} tokens x {shape.kv_bytes_per_token:,} bytes"),
        Line("compute buffer", PROCESS, "activations", buffer, "computed",
             f"{BATCH_TOKENS} tokens of logits and of one MLP, at 32 bits"),
        Line("CUDA context", PROCESS, "context", CONTEXT_BYTES, "estimated", "as of any process"),
    ]  # fmt: skip


def total_bytes(context_tokens: int) -> int:
    return sum(line.bytes for line in lines(context_tokens))

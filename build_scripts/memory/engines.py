"""The memory of TensorRT-LLM's engines: weights, execution contexts, buffers, KV caches.

Sizes are those of TensorRT-LLM 1.0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from build_scripts.console import MIB
from build_scripts.memory import shapes
from build_scripts.memory.line import Line
from build_scripts.memory.shapes import HALF, WhisperShape
from build_scripts.plans.schema import Plan, Whisper
from build_scripts.plans.topology import llm_process, whisper_process
from onecard.contract.whisper import NUM_ENCODER_POSITIONS, NUM_FRAMES, NUM_TEXT_POSITIONS

BLOCK_TOKENS = 32  # --tokens_per_block

# Of the attention plugin, in every engine: CUBLAS_WORKSPACE_SIZE of common/attentionOp.cpp.
PLUGIN_WORKSPACE_BYTES = 32 * MIB
# Runtime buffers and the decoder, for each row of logits: 2.66 and 5.76 GB for 2048 rows of
# 151,936 (TensorRT-LLM issue #1188).
BUFFER_BYTES_PER_LOGIT = 30
# Whisper's execution contexts, in tensors of [3000, width] float16 a chunk. Encoder: 399,360,000
# bytes of activations for 8 chunks of large-v3 (sherpa issue #605). Decoder: 833.73 MiB for 8
# chunks of 4 beams (TensorRT-LLM issue #2419), less the plugin's workspace. Cross-attention over a
# paged cache is fused (attentionOp.cpp), so that the length of the text does not enter.
ENCODER_TENSORS_PER_CHUNK = 6.5
DECODER_TENSORS_PER_CHUNK = 13.7


def in_blocks(num_tokens: int) -> int:
    """Rounded up to whole blocks, as the pools are."""
    return -(-num_tokens // BLOCK_TOKENS) * BLOCK_TOKENS


def whisper_kv_tokens(plan: Plan) -> int:
    """max_tokens_in_paged_kv_cache of Whisper, which caps the self and the cross pool each.

    A chunk takes 1500 tokens of the cross pool, 47 blocks, whatever the beam width: the scheduler
    asks for the encoder's output length, and a sequence is added with its blocks shared among its
    beams (batch_manager/kvCacheManager.cpp, getRemainingBlocksToCompletion and addSequence). It
    takes at most 448 of the self pool for each beam, whose shared part, the prompt, may be short.
    The larger of both is the cap, since there is one for both pools. The
    cross pool's window is the encoder's max_input_len, 3000, though 1500 come out: versions before
    1.0 refuse a pool that is smaller than that (sherpa issue #688), so it never is.
    """
    beams = plan.speech.beam_width
    a_chunk = max(in_blocks(NUM_ENCODER_POSITIONS), in_blocks(NUM_TEXT_POSITIONS) * beams)
    return max(plan.speech.chunks_in_flight * a_chunk, in_blocks(NUM_FRAMES))


def whisper_lines(plan: Plan, kv_tokens: Mapping[str, int]) -> list[Line]:
    """The lines of every Whisper that is resident, and of the largest of those on demand.

    Args:
        kv_tokens: by engine, another cap of each of its pools than the plan's own.
    """
    resident = [line for whisper in plan.residents for line in lines_of(plan, whisper, kv_tokens)]
    in_turn = (lines_of(plan, whisper, kv_tokens) for whisper in plan.on_demand)
    return resident + max(in_turn, key=num_bytes, default=[])


def lines_of(plan: Plan, whisper: Whisper, kv_tokens: Mapping[str, int]) -> list[Line]:
    """The lines of one Whisper, loaded or not."""
    lines = _whisper(plan, whisper, kv_tokens.get(whisper.engine))
    return [dataclasses.replace(line, engine=whisper.engine) for line in lines]


def num_bytes(lines: Iterable[Line], kind: str = "") -> int:
    """The sum of lines; of one `kind` if it is given."""
    return sum(line.bytes for line in lines if kind in ("", line.kind))


def llm_lines(plan: Plan) -> list[Line]:
    return [dataclasses.replace(line, engine="llm") for line in _llm(plan)]


def _whisper(plan: Plan, whisper: Whisper, kv_tokens: int | None) -> list[Line]:
    shape = shapes.whisper(whisper.model)
    process, precision, name = whisper_process(plan), whisper.precision, whisper.model
    lines = []
    for half, parameters in (("encoder", shape.encoder), ("decoder", shape.decoder)):
        what = f"{parameters.linear:,} of {parameters.total:,} parameters"
        lines += [
            Line(f"{name} {half}, linear at {precision}", process, "weights",
                 parameters.linear_bytes(precision), "computed", what),
            Line(f"{name} {half}, the rest at 16 bits", process, "weights",
                 parameters.rest_bytes, "computed", "embeddings, lm_head, convolutions, norms"),
        ]  # fmt: skip
    tokens = in_blocks(kv_tokens or whisper_kv_tokens(plan))
    pool = tokens * shape.kv_bytes_per_token
    how = f"{tokens} tokens x {shape.kv_bytes_per_token:,} bytes"
    return [
        *lines,
        *_whisper_activations(plan, shape, process),
        Line("self-attention KV cache", process, "kv", pool, "computed", how),
        Line("cross-attention KV cache", process, "kv", pool, "computed", how),
    ]


def _whisper_activations(plan: Plan, shape: WhisperShape, process: str) -> list[Line]:
    chunks, beams = plan.speech.chunks_in_flight, plan.speech.beam_width
    tensor = NUM_FRAMES * shape.width * HALF
    encoder = int(chunks * ENCODER_TENSORS_PER_CHUNK * tensor)
    decoder = int(chunks * DECODER_TENSORS_PER_CHUNK * tensor) + PLUGIN_WORKSPACE_BYTES
    output = chunks * NUM_FRAMES * (shape.width + shape.num_mels) * HALF
    return [
        Line("encoder execution context", process, "activations", encoder, "sourced",
             "sherpa issue #605, large-v3 with 8 chunks; scaled"),
        Line("decoder execution context", process, "activations", decoder, "sourced",
             "TensorRT-LLM issue #2419, large-v3 with 8 chunks on an A10; scaled"),
        Line("encoder input and output buffers", process, "buffers", output, "computed",
             "3000 frames a chunk (batch_manager/encoderBuffers.cpp)"),
        Line("logits, decoder and runtime buffers", process, "logits",
             chunks * beams * shape.vocab * BUFFER_BYTES_PER_LOGIT, "sourced",
             "TensorRT-LLM issue #1188; scaled by rows and vocabulary"),
    ]  # fmt: skip


def _llm(plan: Plan) -> list[Line]:
    shape = shapes.llm(plan.llm.architecture)
    parameters, quantisation = shape.parameters, plan.llm.quantisation
    process, rows = llm_process(plan), plan.llm.sequences_in_flight
    # Gate and up projections, and the residual with its normed copy, all at 16 bits: with the
    # logits just the 773.51 MiB of TensorRT-LLM issue #1188 (Qwen2.5-0.5B, 8192 tokens, 2048 rows).
    step = plan.llm.max_num_tokens * 2 * (shape.intermediate + shape.width) * HALF
    activations = step + rows * shape.vocab * HALF + PLUGIN_WORKSPACE_BYTES
    tokens = in_blocks(plan.llm.kv_tokens)
    return [
        Line(f"linear at {quantisation}", process, "weights",
             parameters.linear_bytes(quantisation), "computed",
             f"{parameters.linear:,} parameters, with scales and zeros by {shapes.GROUP}"
             if quantisation.startswith("int4") else f"{parameters.linear:,} parameters"),
        Line("embedding at 16 bits", process, "weights", parameters.embedding * HALF, "computed",
             f"{parameters.embedding:,} parameters"),
        Line("lm_head at 16 bits", process, "weights", parameters.lm_head * HALF, "computed",
             f"{parameters.lm_head:,} parameters"),
        Line("norms at 16 bits", process, "weights", parameters.other * HALF, "computed",
             f"{parameters.other:,} parameters"),
        Line("execution context", process, "activations", activations, "computed",
             f"{plan.llm.max_num_tokens} tokens a step; checked against TensorRT-LLM issue #1188"),
        Line("logits, decoder and runtime buffers", process, "logits",
             rows * shape.vocab * BUFFER_BYTES_PER_LOGIT, "sourced",
             "TensorRT-LLM issue #1188; scaled by rows and vocabulary"),
        Line("self-attention KV cache", process, "kv", tokens * shape.kv_bytes_per_token,
             "computed", f"{tokens} tokens x {shape.kv_bytes_per_token:,} bytes"),
    ]  # fmt: skip

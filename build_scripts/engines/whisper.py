"""The steps that make Whisper's two engines.

Facts: TensorRT-LLM 1.0, examples/models/core/whisper/{README.md, convert_checkpoint.py,
distil_whisper/}, tensorrt_llm/commands/build.py, tensorrt_llm/models/enc_dec/model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from build_scripts import container, paths
from build_scripts.engines import outcomes, sources
from build_scripts.engines.outcomes import Options
from build_scripts.engines.step import (
    CHECKPOINTS,
    ENGINE_FILES,
    OWN_PYTHON,
    ROOM,
    Step,
    assemble,
    build,
    fetch,
    folder,
    scratch,
)
from build_scripts.memory.engines import BLOCK_TOKENS
from build_scripts.plans.schema import Plan
from onecard.contract.whisper import NUM_FRAMES, NUM_TEXT_POSITIONS

EXAMPLE = f"{container.EXAMPLES}/models/core/whisper"
DTYPE = "float16"  # the converter casts everything to it first, so bfloat16 would gain nothing
# Not the converter's default, float16: log-probabilities are taken from a softmax in the precision
# of the logits, and what is less probable than 6e-8 would be 0 there, its logarithm -Infinity.
# 0.1 MiB a row. The converter hands it to the decoder's config alone (2a9abd95).
LOGITS_DTYPE = "float32"


def fetches(plan: Plan) -> list[Step]:
    """Bring the weights and the tokenizer."""
    source = sources.WHISPERS[plan.speech.model]
    if not source.sha256:
        return [fetch("whisper", source.repository, room=ROOM)]
    target = _weights(plan)
    argv = [OWN_PYTHON, "-m", "build_scripts.fetch.download", source.url(plan.speech.model)]
    argv += ["--sha256", source.sha256, "--into", target, "--room", str(ROOM)]
    return [
        Step("fetch whisper", "fetch", tuple(argv), (), (target,)),
        fetch("whisper tokenizer", source.repository, only=source.repository.files),
    ]


def builds(plan: Plan) -> list[Step]:
    """Convert, build both halves, and put them together."""
    source = sources.WHISPERS[plan.speech.model]
    renamed = [] if source.sha256 else [_rename(plan)]
    return [*renamed, _convert(plan), _encoder(plan), _decoder(plan), _assemble(plan)]


def _weights(plan: Plan) -> str:
    """OpenAI's layout: a file `<model>.pt` in a directory of its own."""
    return f"{CHECKPOINTS}/whisper-{plan.speech.model}/{plan.speech.model}.pt"


def _rename(plan: Plan) -> Step:
    source = folder(sources.WHISPERS[plan.speech.model].repository)
    target = _weights(plan)
    argv = [container.PYTHON, f"{EXAMPLE}/distil_whisper/convert_from_distil_whisper.py"]
    argv += ["--model_name", source, "--output_dir", target.rpartition("/")[0]]
    argv += ["--output_name", plan.speech.model]
    return Step("rename whisper", "convert", tuple(argv), (source,), (target,))


def _convert(plan: Plan) -> Step:
    weights, target = _weights(plan), f"{scratch(plan.name)}/whisper/checkpoint"
    argv = [container.PYTHON, f"{EXAMPLE}/convert_checkpoint.py"]
    argv += ["--model_dir", weights.rpartition("/")[0], "--model_name", plan.speech.model]
    argv += ["--dtype", DTYPE, "--logits_dtype", LOGITS_DTYPE, "--output_dir", target]
    precision = plan.speech.precision
    if precision == "int8":
        argv += ["--use_weight_only", "--weight_only_precision", "int8"]

    def verify(root: Path) -> None:
        outcomes.verify_whisper_checkpoint(root / target, precision)

    return Step("convert whisper", "convert", tuple(argv), (weights,), (target,), verify)


def _encoder(plan: Plan) -> Step:
    batch = plan.speech.chunks_in_flight
    limits = {
        "max_batch_size": batch,
        # Frames, although half as many positions come out.
        "max_input_len": NUM_FRAMES,
        "max_seq_len": NUM_FRAMES,
        # Its scheduler takes no more frames a step than this, whatever the batch size says
        # (cpp/tensorrt_llm/batch_manager/trtEncoderModel.cpp); the default, 8192, is two chunks.
        "max_num_tokens": batch * NUM_FRAMES,
    }
    options: Options = {
        "gemm_plugin": False,
        "bert_attention_plugin": DTYPE,
        "moe_plugin": False,
        "remove_input_padding": True,
    }
    return _half(plan, "encoder", limits, options)


def _decoder(plan: Plan) -> Step:
    batch = plan.speech.chunks_in_flight
    limits = {
        "max_batch_size": batch,
        "max_beam_width": plan.speech.beam_width,
        # `max_input_len` times the batch bounds the engine's packed tokens (enc_dec/model.py,
        # decoder_num_tokens_range): NVIDIA's 14 would refuse prompts that carry previous text.
        "max_input_len": NUM_TEXT_POSITIONS,
        "max_seq_len": NUM_TEXT_POSITIONS,  # prompt and output; NVIDIA's example has 114
        "max_num_tokens": batch * NUM_TEXT_POSITIONS,
        "max_encoder_input_len": NUM_FRAMES,
    }
    options: Options = {
        "gemm_plugin": DTYPE,
        "bert_attention_plugin": DTYPE,
        "gpt_attention_plugin": DTYPE,
        "moe_plugin": False,
        "kv_cache_type": "paged",
        "tokens_per_block": BLOCK_TOKENS,
        "remove_input_padding": True,
        "multiple_profiles": False,
    }
    return _half(plan, "decoder", limits, options)


def _half(plan: Plan, half: str, limits: Mapping[str, int], options: Options) -> Step:
    made = f"{scratch(plan.name)}/whisper"
    source, target = f"{made}/checkpoint", f"{made}/{half}"
    return build(f"whisper {half}", f"{source}/{half}", source, target, limits, options)


def _assemble(plan: Plan) -> Step:
    source = sources.WHISPERS[plan.speech.model]
    files = folder(source.repository)
    facts = {
        "name": "whisper",
        "model": source.repository.name,
        "precision": plan.speech.precision,
        "licence": source.licence,
    }
    halves = [f"{half}/{file}" for half in ("encoder", "decoder") for file in ENGINE_FILES]
    parts = {
        **{one: f"{scratch(plan.name)}/whisper/{one}" for one in halves},
        "tokenizer.json": f"{files}/tokenizer.json",
        "preprocessor_config.json": f"{files}/preprocessor_config.json",
    }
    target = f"{paths.home(plan.name)}/whisper"

    def verify(root: Path) -> None:
        outcomes.verify_mels(root / target)

    return assemble("whisper", target, facts, parts, verify=verify)

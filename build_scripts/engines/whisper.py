"""The steps that make the two engines of each Whisper.

Facts: TensorRT-LLM 1.0, examples/models/core/whisper/{README.md, convert_checkpoint.py,
distil_whisper/}, tensorrt_llm/commands/build.py, tensorrt_llm/models/enc_dec/model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from build_scripts import container, paths
from build_scripts.engines import outcomes
from build_scripts.engines.checkpoints import sources
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
from build_scripts.plans.schema import Plan, Whisper
from onecard.contract.whisper import NUM_FRAMES, NUM_TEXT_POSITIONS

EXAMPLE = f"{container.EXAMPLES}/models/core/whisper"
DTYPE = "float16"  # the converter casts everything to it first, so bfloat16 would gain nothing
# Not the converter's default, float16: log-probabilities are taken from a softmax in the precision
# of the logits, and what is less probable than 6e-8 would be 0 there, its logarithm -Infinity.
# 0.1 MiB a row. The converter hands it to the decoder's config alone (2a9abd95).
LOGITS_DTYPE = "float32"


def fetches(plan: Plan) -> list[Step]:
    """Bring the weights and the tokenizer of each model."""
    return [step for whisper in _models(plan) for step in _fetches(whisper)]


def builds(plan: Plan) -> list[Step]:
    """Convert each Whisper, build both halves, and put them together."""
    renamed = [
        _rename(whisper) for whisper in _models(plan) if not sources.WHISPERS[whisper.model].sha256
    ]
    built = [
        make(plan, whisper)
        for whisper in plan.whispers
        for make in (_convert, _encoder, _decoder, _assemble)
    ]
    return renamed + built


def _models(plan: Plan) -> list[Whisper]:
    """One Whisper of each size: what is fetched is the same at any precision."""
    found: dict[str, Whisper] = {}
    for whisper in plan.whispers:
        found.setdefault(whisper.model, whisper)
    return list(found.values())


def _fetches(whisper: Whisper) -> list[Step]:
    source = sources.WHISPERS[whisper.model]
    if not source.sha256:
        return [fetch(whisper.engine, source.repository, room=ROOM)]
    target = _weights(whisper)
    argv = [OWN_PYTHON, "-m", "build_scripts.fetch.download", source.url(whisper.model)]
    argv += ["--sha256", source.sha256, "--into", target, "--room", str(ROOM)]
    return [
        Step(f"fetch {whisper.engine}", "fetch", tuple(argv), (), (target,)),
        fetch(f"{whisper.engine} tokenizer", source.repository, only=source.repository.files),
    ]


def _weights(whisper: Whisper) -> str:
    """OpenAI's layout: a file `<model>.pt` in a directory of its own."""
    return f"{CHECKPOINTS}/whisper-{whisper.model}/{whisper.model}.pt"


def _rename(whisper: Whisper) -> Step:
    source = folder(sources.WHISPERS[whisper.model].repository)
    target = _weights(whisper)
    argv = [container.PYTHON, f"{EXAMPLE}/distil_whisper/convert_from_distil_whisper.py"]
    argv += ["--model_name", source, "--output_dir", target.rpartition("/")[0]]
    argv += ["--output_name", whisper.model]
    return Step(f"rename {whisper.engine}", "convert", tuple(argv), (source,), (target,))


def _convert(plan: Plan, whisper: Whisper) -> Step:
    weights, target = _weights(whisper), f"{_made(plan, whisper)}/checkpoint"
    argv = [container.PYTHON, f"{EXAMPLE}/convert_checkpoint.py"]
    argv += ["--model_dir", weights.rpartition("/")[0], "--model_name", whisper.model]
    argv += ["--dtype", DTYPE, "--logits_dtype", LOGITS_DTYPE, "--output_dir", target]
    precision = whisper.precision
    if precision == "int8":
        argv += ["--use_weight_only", "--weight_only_precision", "int8"]

    def verify(root: Path) -> None:
        outcomes.verify_whisper_checkpoint(root / target, precision)

    step = f"convert {whisper.engine}"
    return Step(step, "convert", tuple(argv), (weights,), (target,), verify)


def _encoder(plan: Plan, whisper: Whisper) -> Step:
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
    return _half(plan, whisper, "encoder", limits, options)


def _decoder(plan: Plan, whisper: Whisper) -> Step:
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
    return _half(plan, whisper, "decoder", limits, options)


def _half(
    plan: Plan, whisper: Whisper, half: str, limits: Mapping[str, int], options: Options
) -> Step:
    made = _made(plan, whisper)
    source, target = f"{made}/checkpoint", f"{made}/{half}"
    return build(f"{whisper.engine} {half}", f"{source}/{half}", source, target, limits, options)


def _made(plan: Plan, whisper: Whisper) -> str:
    """The directory of what is made on the way."""
    return f"{scratch(plan.name)}/{whisper.engine}"


def _assemble(plan: Plan, whisper: Whisper) -> Step:
    source = sources.WHISPERS[whisper.model]
    files = folder(source.repository)
    facts = {
        "name": whisper.engine,
        "model": source.repository.name,
        "precision": whisper.precision,
        "licence": source.licence,
    }
    halves = [f"{half}/{file}" for half in ("encoder", "decoder") for file in ENGINE_FILES]
    parts = {
        **{one: f"{_made(plan, whisper)}/{one}" for one in halves},
        "tokenizer.json": f"{files}/tokenizer.json",
        "preprocessor_config.json": f"{files}/preprocessor_config.json",
    }
    target = f"{paths.home(plan.name)}/{whisper.engine}"

    def verify(root: Path) -> None:
        outcomes.verify_mels(root / target)

    return assemble(whisper.engine, target, facts, parts, verify=verify)

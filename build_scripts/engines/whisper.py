"""The commands that make Whisper's two engines; the only module that knows their flags.

Facts: TensorRT-LLM 1.0, examples/models/core/whisper/{README.md, convert_checkpoint.py,
distil_whisper/}, tensorrt_llm/commands/build.py, tensorrt_llm/models/enc_dec/model.py.
"""

from __future__ import annotations

from build_scripts import container, paths
from build_scripts.engines import sources
from build_scripts.engines.step import (
    BUILDER,
    CHECKPOINTS,
    ENGINE_FILES,
    OWN_PYTHON,
    ROOM,
    Command,
    assemble,
    fetch,
    folder,
    scratch,
)
from build_scripts.plans.schema import Plan

EXAMPLE = f"{container.EXAMPLES}/models/core/whisper"
NUM_FRAMES = 3000  # of mel, 30 s; the encoder halves them, and still its limits count frames
MAX_TOKENS = 448  # the decoder's positions (n_text_ctx), prompt and output; NVIDIA's example: 114
DTYPE = "float16"  # the converter casts everything to it first, so bfloat16 would gain nothing
# Not the converter's default, float16: log-probabilities are taken from a softmax in the precision
# of the logits, and what is less probable than 6e-8 would be 0 there, its logarithm -Infinity.
# 0.1 MiB a row. The converter hands it to the decoder's config alone (2a9abd95).
LOGITS_DTYPE = "float32"


def fetches(plan: Plan) -> list[Command]:
    """Bring the weights and the tokenizer."""
    source = sources.WHISPERS[plan.speech.model]
    if not source.sha256:
        return [fetch("whisper", source.repository, room=ROOM)]
    target = _weights(plan)
    argv = [OWN_PYTHON, "-m", "build_scripts.fetch.download", source.url(plan.speech.model)]
    argv += ["--sha256", source.sha256, "--into", target, "--room", str(ROOM)]
    return [
        Command("fetch whisper", tuple(argv), (), (target,)),
        fetch("whisper tokenizer", source.repository, only=source.repository.files),
    ]


def builds(plan: Plan) -> list[Command]:
    """Convert, build both halves, and put them together."""
    source = sources.WHISPERS[plan.speech.model]
    renamed = [] if source.sha256 else [_rename(plan)]
    return [*renamed, _convert(plan), _encoder(plan), _decoder(plan), _assemble(plan)]


def _weights(plan: Plan) -> str:
    """OpenAI's layout: a file `<model>.pt` in a directory of its own."""
    return f"{CHECKPOINTS}/whisper-{plan.speech.model}/{plan.speech.model}.pt"


def _rename(plan: Plan) -> Command:
    source = folder(sources.WHISPERS[plan.speech.model].repository)
    target = _weights(plan)
    argv = [container.PYTHON, f"{EXAMPLE}/distil_whisper/convert_from_distil_whisper.py"]
    argv += ["--model_name", source, "--output_dir", target.rpartition("/")[0]]
    argv += ["--output_name", plan.speech.model]
    return Command("rename whisper", tuple(argv), (source,), (target,))


def _convert(plan: Plan) -> Command:
    weights, target = _weights(plan), f"{scratch(plan.name)}/whisper/checkpoint"
    argv = [container.PYTHON, f"{EXAMPLE}/convert_checkpoint.py"]
    argv += ["--model_dir", weights.rpartition("/")[0], "--model_name", plan.speech.model]
    argv += ["--dtype", DTYPE, "--logits_dtype", LOGITS_DTYPE, "--output_dir", target]
    if plan.speech.precision == "int8":
        argv += ["--use_weight_only", "--weight_only_precision", "int8"]
    return Command("convert whisper", tuple(argv), (weights,), (target,))


def _encoder(plan: Plan) -> Command:
    source, target = f"{scratch(plan.name)}/whisper/checkpoint", _engine(plan, "encoder")
    batch = plan.speech.chunks_in_flight
    argv = [BUILDER, "--checkpoint_dir", f"{source}/encoder", "--output_dir", target]
    argv += ["--max_batch_size", str(batch)]
    argv += ["--max_input_len", str(NUM_FRAMES), "--max_seq_len", str(NUM_FRAMES)]
    # Its scheduler takes no more frames a step than this, whatever the batch size says
    # (cpp/tensorrt_llm/batch_manager/trtEncoderModel.cpp); the default, 8192, is two chunks.
    argv += ["--max_num_tokens", str(batch * NUM_FRAMES)]
    argv += ["--gemm_plugin", "disable", "--bert_attention_plugin", DTYPE]
    argv += ["--moe_plugin", "disable", "--remove_input_padding", "enable"]
    argv += ["--workers", "1", "--output_timing_cache", f"{target}/timing.cache"]
    return Command("build whisper encoder", tuple(argv), (source,), (target,))


def _decoder(plan: Plan) -> Command:
    source, target = f"{scratch(plan.name)}/whisper/checkpoint", _engine(plan, "decoder")
    batch = plan.speech.chunks_in_flight
    argv = [BUILDER, "--checkpoint_dir", f"{source}/decoder", "--output_dir", target]
    argv += ["--max_batch_size", str(batch), "--max_beam_width", str(plan.speech.beam_width)]
    # `max_input_len` times the batch bounds the engine's packed tokens (enc_dec/model.py,
    # decoder_num_tokens_range): NVIDIA's 14 would refuse prompts that carry previous text.
    argv += ["--max_input_len", str(MAX_TOKENS), "--max_seq_len", str(MAX_TOKENS)]
    argv += ["--max_num_tokens", str(batch * MAX_TOKENS)]
    argv += ["--max_encoder_input_len", str(NUM_FRAMES)]  # frames, not the 1500 that come out
    argv += ["--gemm_plugin", DTYPE, "--bert_attention_plugin", DTYPE]
    argv += ["--gpt_attention_plugin", DTYPE, "--moe_plugin", "disable"]
    argv += ["--kv_cache_type", "paged", "--tokens_per_block", "32"]
    argv += ["--remove_input_padding", "enable", "--multiple_profiles", "disable"]
    argv += ["--workers", "1", "--output_timing_cache", f"{target}/timing.cache"]
    return Command("build whisper decoder", tuple(argv), (source,), (target,))


def _assemble(plan: Plan) -> Command:
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
    return assemble("whisper", f"{paths.home(plan.name)}/whisper", facts, parts)


def _engine(plan: Plan, half: str) -> str:
    return f"{scratch(plan.name)}/whisper/{half}"

"""The steps that make the LLM's engine.

Facts: TensorRT-LLM 1.0, examples/models/core/llama/convert_checkpoint.py (which Mistral's models go
through), examples/generate_xgrammar_tokenizer_info.py, tensorrt_llm/commands/build.py.
"""

from __future__ import annotations

from pathlib import Path

from build_scripts import container, paths
from build_scripts.engines import outcomes
from build_scripts.engines.checkpoints import sources
from build_scripts.engines.outcomes import Options
from build_scripts.engines.step import (
    ENGINE_FILES,
    OWN_PYTHON,
    ROOM,
    Step,
    Verify,
    assemble,
    build,
    fetch,
    folder,
    scratch,
)
from build_scripts.errors import PlanError
from build_scripts.memory.engines import BLOCK_TOKENS
from build_scripts.plans.schema import Plan

EXAMPLE = f"{container.EXAMPLES}/models/core/llama"
GRAMMAR = "xgrammar_tokenizer_info.json"
# dtype of activations and the KV cache; 4-bit repositories store their scales in it.
DTYPE = "float16"
# A 4-bit checkpoint is recognised by its own config.json; the flags are for 16-bit ones.
WEIGHT_ONLY = {
    "int4_awq": (),
    "int4_gptq": (),
    "int8": ("--use_weight_only", "--weight_only_precision", "int8"),
    "float16": (),
}


def fetches(plan: Plan) -> list[Step]:
    """Bring the repository, its config.json first, so that a wrong one is refused at once."""
    if plan.llm.quantisation not in WEIGHT_ONLY:
        raise PlanError(
            f"llm.quantisation is `{plan.llm.quantisation}`, TensorRT-LLM's converter reads "
            f"{', '.join(WEIGHT_ONLY)}: name a Hugging Face repository in one of these forms"
        )
    if _is_directory(plan):
        return [_check(plan)]
    repository = sources.llm(plan.llm.checkpoint, plan.llm.revision)
    return [
        fetch("llm configuration", repository, only=("config.json",)),
        _check(plan),
        fetch("llm", repository, room=ROOM, verify=_verify_tokenizer(plan)),
    ]


def builds(plan: Plan) -> list[Step]:
    """Convert, build, describe the vocabulary for grammars, and put everything together."""
    return [_convert(plan), _build(plan), _grammar(plan), _assemble(plan)]


def source(plan: Plan) -> str:
    """The directory with the checkpoint."""
    if _is_directory(plan):
        return plan.llm.checkpoint
    return folder(sources.llm(plan.llm.checkpoint, plan.llm.revision))


def _is_directory(plan: Plan) -> bool:
    path = Path(plan.llm.checkpoint)
    return path.is_absolute() or plan.llm.checkpoint.count("/") != 1 or (paths.ROOT / path).is_dir()


def _check(plan: Plan) -> Step:
    config, target = f"{source(plan)}/config.json", f"{scratch(plan.name)}/llm/checked.json"
    argv = [OWN_PYTHON, "-m", "build_scripts.engines.checkpoints.check", config]
    argv += ["--quantisation", plan.llm.quantisation, "--architecture", plan.llm.architecture]
    argv += ["--context-tokens", str(plan.llm.context_tokens), "--into", target]
    return Step("check llm", "check", tuple(argv), (config,), (target,))


def _convert(plan: Plan) -> Step:
    made = f"{scratch(plan.name)}/llm"
    target, checked = f"{made}/checkpoint", f"{made}/checked.json"
    argv = [container.PYTHON, f"{EXAMPLE}/convert_checkpoint.py", "--model_dir", source(plan)]
    argv += ["--dtype", DTYPE, *WEIGHT_ONLY[plan.llm.quantisation], "--output_dir", target]

    def verify(root: Path) -> None:
        outcomes.verify_llm_checkpoint(root / target, root / checked)

    return Step("convert llm", "convert", tuple(argv), (source(plan), checked), (target,), verify)


def _build(plan: Plan) -> Step:
    llm, made = plan.llm, f"{scratch(plan.name)}/llm"
    limits = {
        "max_batch_size": llm.sequences_in_flight,
        "max_beam_width": 1,
        "max_input_len": llm.context_tokens,
        "max_seq_len": llm.context_tokens,
        # No more than can be in flight: the builder would lower it, with a warning.
        "max_num_tokens": min(llm.max_num_tokens, llm.context_tokens * llm.sequences_in_flight),
    }
    options: Options = {
        "gemm_plugin": DTYPE,  # of lm_head alone
        "gpt_attention_plugin": DTYPE,
        "kv_cache_type": "paged",
        "tokens_per_block": BLOCK_TOKENS,
        # Needed for reuse and for prompts in pieces; forbids a KV cache of 8 bits (builder.py).
        "use_paged_context_fmha": True,
        "remove_input_padding": True,
        # More profiles can double the memory of the weights (docs/source/reference/memory.md).
        "multiple_profiles": False,
    }
    checkpoint = f"{made}/checkpoint"
    return build("llm", checkpoint, checkpoint, f"{made}/engine", limits, options)


def _grammar(plan: Plan) -> Step:
    target = f"{scratch(plan.name)}/llm/grammar"
    argv = [container.PYTHON, f"{container.EXAMPLES}/generate_xgrammar_tokenizer_info.py"]
    argv += ["--model_dir", source(plan), "--output_dir", target]
    return Step(
        "describe llm vocabulary",
        "convert",
        tuple(argv),
        (source(plan),),
        (target,),
        _verify_tokenizer(plan),  # here too, because a directory is not fetched
    )


def _verify_tokenizer(plan: Plan) -> Verify:
    checkpoint = source(plan)
    return lambda root: outcomes.verify_tokenizer(root / checkpoint)


def _assemble(plan: Plan) -> Step:
    made, files = f"{scratch(plan.name)}/llm", source(plan)
    facts = {"name": "llm", "precision": plan.llm.quantisation}
    if _is_directory(plan):
        facts |= {"model": Path(files).name, "licence": "of the checkpoint in that directory"}
    else:
        facts["origin"] = files
    parts = {
        **{one: f"{made}/engine/{one}" for one in ENGINE_FILES},
        GRAMMAR: f"{made}/grammar/{GRAMMAR}",
        "tokenizer/tokenizer.json": f"{files}/tokenizer.json",
        "tokenizer/tokenizer_config.json": f"{files}/tokenizer_config.json",
    }
    names = ("special_tokens_map.json", "generation_config.json", "chat_template.jinja")
    optional = {f"tokenizer/{one}": f"{files}/{one}" for one in names}
    return assemble("llm", f"{paths.home(plan.name)}/llm", facts, parts, optional)

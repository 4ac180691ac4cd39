"""Checks that TensorRT-LLM's converter will read a Hugging Face checkpoint as what it is.

What the converter does not recognise it converts as if it were 16-bit, with no more than a warning
(examples/models/core/llama/convert_checkpoint.py, `update_quant_config_from_hf`). `python -m
build_scripts.engines.checkpoints.check CONFIG --quantisation KIND --into FILE`
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build_scripts import errors
from build_scripts.errors import CheckpointError
from build_scripts.memory import shapes

METHODS = {"int4_awq": "awq", "int4_gptq": "gptq", "int8": "", "float16": ""}
# What the ledger calls a model's dimensions, and what config.json does.
DIMENSIONS = {
    "num_layers": "num_hidden_layers",
    "width": "hidden_size",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "intermediate": "intermediate_size",
    "vocab": "vocab_size",
    "tied": "tie_word_embeddings",
}
# The converter takes a path with one of these for another family (models/llama/model.py).
MISLEADING = ("llava", "vila", "exaone")


def main(arguments: Sequence[str]) -> None:
    """Write what the converted checkpoint must state to a file. Raises CheckpointError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.engines.checkpoints.check")
    parser.add_argument("config", type=Path)
    parser.add_argument("--quantisation", required=True, choices=sorted(METHODS))
    parser.add_argument("--architecture", required=True, help="whose dimensions it must have")
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--into", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        config = json.loads(given.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"`{given.config}` cannot be read ({error}), wanted a checkpoint's config.json: "
            "correct llm.checkpoint"
        ) from None
    verify_path(given.config.parent)
    verify_architecture(config, given.context_tokens)
    verify_dimensions(config, given.architecture)
    wanted = verify_quantisation(config, given.quantisation)
    given.into.parent.mkdir(parents=True, exist_ok=True)
    given.into.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")


def verify_path(folder: Path) -> None:
    """Raises CheckpointError for a directory whose name would mislead the converter."""
    for word in MISLEADING:
        if word in str(folder).lower():
            raise CheckpointError(
                f"`{folder}` has `{word}` in its path, which makes the converter take it for "
                "another family of models: rename the directory"
            )


def verify_architecture(config: Mapping[str, Any], context_tokens: int) -> None:
    """Raises CheckpointError for a model that the llama converter does not read."""
    found = (config.get("architectures") or ["nothing"])[0]
    if found == "Mistral3ForConditionalGeneration":
        raise CheckpointError(
            f"the checkpoint is a `{found}`, text and vision in one, whose weights the converter "
            "cannot map: name a repository with its text model alone (`MistralForCausalLM`)"
        )
    if found not in shapes.ARCHITECTURES:
        raise CheckpointError(
            f"the checkpoint is a `{found}`, wanted one of {', '.join(shapes.ARCHITECTURES)}: "
            "name another repository in llm.checkpoint"
        )
    longest = config.get("max_position_embeddings", 0)
    if context_tokens > longest:
        raise CheckpointError(
            f"llm.context_tokens is `{context_tokens}`, the model was made for at most "
            f"`{longest}`: lower it in the plan"
        )


def verify_dimensions(config: Mapping[str, Any], architecture: str) -> None:
    """Raises CheckpointError where the plan's memory was computed for another model."""
    shape = shapes.llm(architecture)
    stated = dict(config)
    # Both may be left out (transformers, LlamaConfig).
    stated.setdefault("tie_word_embeddings", False)
    if not stated.get("head_dim"):
        stated["head_dim"] = stated.get("hidden_size", 0) // stated.get("num_attention_heads", 1)
    for ours, theirs in DIMENSIONS.items():
        if stated.get(theirs) != getattr(shape, ours):
            raise CheckpointError(
                f"the checkpoint has `{theirs}` = `{stated.get(theirs)}`, llm.architecture "
                f"`{architecture}` has `{getattr(shape, ours)}`, and the ledger counts with that: "
                "name the checkpoint's own in the plan"
            )


def verify_quantisation(config: Mapping[str, Any], quantisation: str) -> dict[str, Any]:
    """What the converted checkpoint must state, `quant_algo` and the like.

    Raises:
        CheckpointError: it is in a form that the converter misreads, or not the plan's.
    """
    stated = config.get("quantization_config") or {}
    method, wanted = stated.get("quant_method", ""), METHODS[quantisation]
    if method != wanted:
        raise CheckpointError(_wrong_method(method, quantisation))
    if not wanted:
        return {"quant_algo": "W8A16" if quantisation == "int8" else None}
    _verify("bits", stated.get("bits", stated.get("w_bit")), (4,))
    group_size = stated.get("group_size", stated.get("q_group_size", 128))
    _verify("group_size", group_size, (shapes.GROUP,))
    if method == "awq":
        _verify("version", str(stated.get("version", "gemm")).lower(), ("gemm",))
        has_zeros = bool(stated.get("zero_point", False))
    else:
        _verify("desc_act", stated.get("desc_act", False), (False,))
        # It reads `sym` as "has zero points", which is right for the symmetric ones alone.
        _verify("sym", stated.get("sym", False), (True,))
        _verify("checkpoint_format", stated.get("checkpoint_format", "gptq"), ("gptq",))
        has_zeros = True
    # Both kinds of repository become this one (`update_quant_config_from_hf`).
    return {"quant_algo": "W4A16_GPTQ", "group_size": group_size, "has_zero_point": has_zeros}


def _verify(key: str, found: object, wanted: tuple[object, ...]) -> None:
    if found not in wanted:
        choices = " or ".join(f"`{choice}`" for choice in wanted)
        raise CheckpointError(
            f"the checkpoint's quantization_config has `{key}` = `{found}`, which TensorRT-LLM's "
            f"converter cannot use, wanted {choices}: name a repository that was quantised so "
            "(AutoAWQ GEMM, or GPTQ with desc_act=false and sym=true; groups of 128)"
        )


def _wrong_method(method: str, quantisation: str) -> str:
    if not method:
        return (
            f"the checkpoint is not quantised, llm.quantisation is `{quantisation}`: name a "
            "repository with AutoAWQ or GPTQ weights, or change llm.quantisation"
        )
    if method in METHODS.values():
        fit = next(kind for kind, theirs in METHODS.items() if theirs == method)
        return (
            f"the checkpoint is quantised with `{method}`, llm.quantisation is `{quantisation}`: "
            f'write quantisation = "{fit}"'
        )
    return (
        f"the checkpoint is quantised with `{method}`, which TensorRT-LLM's converter does not "
        "recognise and would convert as if it were 16-bit: name a repository with AutoAWQ (GEMM) "
        "or GPTQ (desc_act=false, sym=true) weights"
    )


if __name__ == "__main__":
    errors.run(main)

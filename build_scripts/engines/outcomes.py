"""Checks of what NVIDIA's tools made, after they ended well.

They write config.json of a converted checkpoint and of an engine (tensorrt_llm/builder.py,
`Engine.save`). The checks find what the tools change in silence: a checkpoint taken for 16-bit, a
limit lowered with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from build_scripts import container
from build_scripts.errors import CheckpointError, InstallError
from onecard.llm import chat_template

# Flags whose value the engine's build_config must repeat, and those of its plugin_config.
LIMITS = (
    "max_batch_size",
    "max_beam_width",
    "max_seq_len",
    "max_num_tokens",
    "max_encoder_input_len",
)
Options = Mapping[str, str | int | bool]  # a flag's value; True and False: enable and disable
OPTIONS = ("tokens_per_block", "use_paged_context_fmha", "multiple_profiles")


def verify_tokenizer(folder: Path) -> None:
    """Raises CheckpointError where a checkpoint's tokenizer cannot serve chat."""
    config = _read(folder / "tokenizer_config.json")
    try:
        chat_template.source_in(folder, config)
    except ValueError as error:
        raise CheckpointError(f"{error}; or name another repository in llm.checkpoint") from None


def verify_engine(step: str, folder: Path, limits: Mapping[str, int], options: Options) -> None:
    """Raises InstallError unless `folder` has the engine that `step` asked the builder for.

    Args:
        limits: flags and their values that the engine's build_config repeats.
        options: flags and their values that its plugin_config repeats, of those in `OPTIONS`.
    """
    document = _read(folder / "config.json")
    if document.get("version") != container.TENSORRT_LLM:
        raise InstallError(
            f"`{folder}` was built by TensorRT-LLM `{document.get('version')}`, wanted "
            f"`{container.TENSORRT_LLM}`: the container is not the pinned one"
        )
    engine = folder / "rank0.engine"
    if not engine.is_file() or not engine.stat().st_size:
        raise InstallError(f"`{engine}` is missing or empty: the build's log may say why")
    built = document["build_config"]
    for key, wanted in limits.items():
        if key in LIMITS:
            _verify_same(step, key, built.get(key), wanted)
    plugins = built.get("plugin_config", {})
    for key, value in options.items():
        if key in OPTIONS and key in plugins:  # not every release has all
            _verify_same(step, key, plugins[key], value)


def verify_llm_checkpoint(folder: Path, checked: Path) -> None:
    """Raises CheckpointError unless the checkpoint is quantised as the file `checked` says."""
    _verify_quantisation(_read(folder / "config.json"), _read(checked))


def verify_whisper_checkpoint(folder: Path, precision: str) -> None:
    """Raises CheckpointError unless both halves of the checkpoint have the plan's precision."""
    wanted = {"quant_algo": "W8A16" if precision == "int8" else None}
    for half in ("encoder", "decoder"):
        _verify_quantisation(_read(folder / half / "config.json"), wanted)


def verify_mels(folder: Path) -> None:
    """Raises InstallError where Whisper's encoder and preprocessor_config.json disagree."""
    engine = _read(folder / "encoder" / "config.json")["pretrained_config"].get("n_mels")
    fed = _read(folder / "preprocessor_config.json").get("feature_size")
    if engine != fed:
        raise InstallError(
            f"the encoder takes `{engine}` mels, preprocessor_config.json says `{fed}`: weights "
            "and tokenizer are of different models"
        )


def _verify_same(step: str, key: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise InstallError(
            f"`{step}` was asked for `{key}` = `{wanted}` and built `{found}`; the plan's "
            "memory and limits rest on it: its log says why it was changed"
        )


def _verify_quantisation(config: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = config.get("quantization") or {}
    for key, value in wanted.items():
        if found.get(key) != value:
            raise CheckpointError(
                f"the converted checkpoint has `{key}` = `{found.get(key)}`, wanted `{value}`: the "
                "converter took it for something else (its log warns of a config.json that it "
                "could not read); name a repository in a form that docs/gpu/engines.md lists"
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InstallError(f"`{path}` cannot be read ({error}), wanted JSON") from None
    return document

"""Whether a command that ended well made what it was asked for.

NVIDIA's tools write config.json of a converted checkpoint and of an engine:
tensorrt_llm/builder.py, `Engine.save`. It guards what the tools do in silence: a checkpoint taken
for 16-bit, a limit lowered with a warning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from build_scripts import container
from build_scripts.engines.step import BUILDER, Command
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
PLUGINS = ("tokens_per_block", "use_paged_context_fmha", "multiple_profiles")
_VALUES = {"enable": True, "disable": False}


def verify(command: Command, root: Path) -> None:
    """Raises InstallError or CheckpointError where `command` made something else, or nothing."""
    for output in command.outputs:
        if not (root / output).exists():
            raise InstallError(
                f"`{command.name}` ended well and `{output}` is not there: its log may say why"
            )
    if command.argv[0] == BUILDER:
        _verify_engine(command, root / command.outputs[0])
    elif command.name == "convert llm":
        wanted = _read(root / command.inputs[1])
        _verify_quantisation(_read(root / command.outputs[0] / "config.json"), wanted)
    elif command.name == "convert whisper":
        algorithm = "W8A16" if "--use_weight_only" in command.argv else None
        for half in ("encoder", "decoder"):
            config = _read(root / command.outputs[0] / half / "config.json")
            _verify_quantisation(config, {"quant_algo": algorithm})
    elif command.name == "assemble whisper":
        _verify_mels(root / command.outputs[0])
    elif command.name == "fetch llm":
        verify_tokenizer(root / command.outputs[0])
    elif command.name == "describe llm vocabulary":  # of a directory as well
        verify_tokenizer(root / command.inputs[0])


def verify_tokenizer(folder: Path) -> None:
    """Raises CheckpointError where a checkpoint's tokenizer cannot serve chat."""
    config = _read(folder / "tokenizer_config.json")
    try:
        chat_template.source_in(folder, config)
    except ValueError as error:
        raise CheckpointError(f"{error}; or name another repository in llm.checkpoint") from None


def _verify_engine(command: Command, folder: Path) -> None:
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
    for flag, asked in zip(command.argv, command.argv[1:], strict=False):
        key = flag.removeprefix("--")
        if key in LIMITS:
            _same(command, key, built.get(key), int(asked))
        elif key in PLUGINS and key in built.get("plugin_config", {}):  # not every release has all
            wanted = _VALUES[asked] if asked in _VALUES else int(asked)
            _same(command, key, built["plugin_config"][key], wanted)


def _same(command: Command, key: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise InstallError(
            f"`{command.name}` was asked for `{key}` = `{wanted}` and built `{found}`; the plan's "
            "memory and limits rest on it: its log says why it was changed"
        )


def _verify_quantisation(config: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = config.get("quantization") or {}
    for key, value in wanted.items():
        if found.get(key) != value:
            raise CheckpointError(
                f"the converted checkpoint has `{key}` = `{found.get(key)}`, wanted `{value}`: the "
                "converter took it for something else (its log warns of a config.json that it "
                "could not read); name a repository in a form that docs/engines.md lists"
            )


def _verify_mels(folder: Path) -> None:
    engine = _read(folder / "encoder" / "config.json")["pretrained_config"].get("n_mels")
    fed = _read(folder / "preprocessor_config.json").get("feature_size")
    if engine != fed:
        raise InstallError(
            f"the encoder takes `{engine}` mels, preprocessor_config.json says `{fed}`: weights "
            "and tokenizer are of different models"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InstallError(f"`{path}` cannot be read ({error}), wanted JSON") from None
    return document

"""Fakes of what a GPU build runs: the fetchers, NVIDIA's converters and `trtllm-build`.

Each writes small files where the real one writes large ones, with the fields that onecard reads, so
that the runner can be tested where there is no GPU. They compute nothing. Run as
`python fake_trtllm.py PROGRAM ARGUMENTS...`; every call is noted in calls.log. FAKE_FAIL: in whose
arguments this stands fails, after it has said FAKE_SAYS. FAKE_HANG: likewise, hangs half-way.
FAKE_LIMIT: what the builder makes of max_seq_len.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

from build_scripts import container

COMMIT = "c" * 40
QUANTISED = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
LLM = {
    "architectures": ["MistralForCausalLM"],
    "max_position_embeddings": 32768,
    "num_hidden_layers": 40,
    "hidden_size": 5120,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 32768,
    "vocab_size": 131072,
    "quantization_config": {**QUANTISED, "version": "gemm"},
}


def flag(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def fetch_file(arguments: list[str]) -> None:
    write(Path(flag(arguments, "--into")), "weights of whisper")


def fetch_repository(arguments: list[str]) -> None:
    into = Path(flag(arguments, "--into"))
    wanted = [one.removeprefix("--file=") for one in arguments if one.startswith("--file=")]
    wanted += [one.partition("=")[2] for one in arguments if one.startswith("--first-of=")][:1]
    contents = {
        "config.json": LLM,
        "tokenizer_config.json": {"chat_template": "{{ messages }}"},
        "preprocessor_config.json": {"feature_size": 128},
    }
    for name in wanted:
        write(into / name.replace("*", "-00001"), contents.get(name, f"{name} of {arguments[0]}"))
    asked = flag(arguments, "--revision")
    commit = asked if len(asked) == 40 else COMMIT
    facts = {"repository": arguments[0], "asked": asked, "commit": commit}
    write(into / "revision.json", {**facts, "licence": "apache-2.0", "files": {}})


def convert(arguments: list[str]) -> None:
    out = Path(flag(arguments, "--output_dir"))
    if "--model_name" not in arguments:
        fields = {"quant_algo": "W4A16_GPTQ", "group_size": 128, "has_zero_point": True}
        write(out / "config.json", {"quantization": fields})
        return
    assert (Path(flag(arguments, "--model_dir")) / "large-v3.pt").is_file()
    algorithm = "W8A16" if "--use_weight_only" in arguments else None
    for half in ("encoder", "decoder"):
        write(out / half / "config.json", {"quantization": {"quant_algo": algorithm}})


def convert_align(arguments: list[str]) -> None:
    _align, source, target = arguments
    write(Path(target) / "model.safetensors", (Path(source) / "model.safetensors").read_text())


def describe(arguments: list[str]) -> None:
    write(Path(flag(arguments, "--output_dir")) / "xgrammar_tokenizer_info.json", {})


def build(arguments: list[str]) -> None:
    source, out = Path(flag(arguments, "--checkpoint_dir")), Path(flag(arguments, "--output_dir"))
    assert (source / "config.json").is_file()
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    numbers = {key[2:]: int(value) for key, value in given.items() if value.isdigit()}
    numbers["max_seq_len"] = int(os.environ.get("FAKE_LIMIT", numbers["max_seq_len"]))
    switches = {
        key[2:]: value == "enable" for key, value in given.items() if value.endswith("able")
    }
    plugins = {**switches, "tokens_per_block": numbers.get("tokens_per_block")}
    write(
        out / "config.json",
        {
            "version": container.TENSORRT_LLM,
            "pretrained_config": {"n_mels": 128},
            "build_config": {**numbers, "plugin_config": plugins},
        },
    )
    write(out / "timing.cache", "")
    write(out / "rank0.engine", f"engine {' '.join(arguments)}")


FAKES = {
    "build_scripts.fetch.download": fetch_file,
    "build_scripts.fetch.hub": fetch_repository,
    "build_scripts.engines.checkpoints.safetensors": convert_align,
    "convert_checkpoint.py": convert,
    "generate_xgrammar_tokenizer_info.py": describe,
    "trtllm-build": build,
}


def main(program: str, arguments: list[str]) -> None:
    if arguments and arguments[0] == "-m":  # python -m MODULE
        program, arguments = arguments[1], arguments[2:]
    elif arguments and arguments[0].endswith(".py"):  # python3 SCRIPT
        program, arguments = Path(arguments[0]).name, arguments[1:]
    line = " ".join([program, *arguments])
    with Path("calls.log").open("a") as file:
        file.write(line + "\n")
    if os.environ.get("FAKE_FAIL", "nothing") in line:
        sys.exit(f"{os.environ.get('FAKE_SAYS', 'it failed')}\n")
    if os.environ.get("FAKE_HANG", "nothing") in line:
        write(Path(flag(arguments, "--output_dir")) / "rank0.engine", "half an eng")
        Path("hangs").touch()
        time.sleep(60)
    if program in FAKES:
        FAKES[program](arguments)
    else:  # one of our own that needs neither network nor GPU
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

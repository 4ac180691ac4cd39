"""What a step made although nobody asked for it is refused, whatever its program said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from build_scripts import container
from build_scripts.engines import build
from build_scripts.errors import BuildError, CheckpointError, InstallError
from build_scripts.plans import plan
from tests.build_scripts.fake_trtllm import write

MADE = "engines/rtx3090/.build"
SERVED = "engines/rtx3090/whisper"
LLM = "engines/.checkpoints/stelterlab--Mistral-Small-24B-Instruct-2501-AWQ"
PLAIN = {"quantization": {"quant_algo": None}}
LIMITS = {
    "max_batch_size": 4,
    "max_beam_width": 1,
    "max_seq_len": 8192,
    "max_num_tokens": 2048,
    "plugin_config": {"tokens_per_block": 32, "use_paged_context_fmha": True},
}


def engine(**changes: Any) -> dict[str, Any]:
    return {"version": container.TENSORRT_LLM, "build_config": {**LIMITS, **changes}}


def verify(root: Path, name: str, files: dict[str, Any]) -> None:
    """Check what the step `name` of the reference card would have made."""
    for path, content in files.items():
        write(root / path, content)
    (step,) = [step for step in build.gpu_steps(plan.load("rtx3090")) if step.name == name]
    assert step.verify is not None
    step.verify(root)


@pytest.mark.parametrize(
    ("name", "files", "kind", "message"),
    [
        (
            "convert whisper",
            {
                f"{MADE}/whisper/checkpoint/{half}/config.json": PLAIN
                for half in ("encoder", "decoder")
            },
            CheckpointError,
            "has `quant_algo` = `None`, wanted `W8A16`",
        ),
        (
            "assemble whisper",
            {
                f"{SERVED}/encoder/config.json": {"pretrained_config": {"n_mels": 128}},
                f"{SERVED}/preprocessor_config.json": {"feature_size": 80},
            },
            InstallError,
            "the encoder takes `128` mels, preprocessor_config.json says `80`",
        ),
        (
            "convert llm",
            {
                f"{MADE}/llm/checked.json": {"quant_algo": "W4A16_GPTQ"},
                f"{MADE}/llm/checkpoint/config.json": PLAIN,
            },
            CheckpointError,
            "has `quant_algo` = `None`, wanted `W4A16_GPTQ`",
        ),
        (
            "build llm",
            {f"{MADE}/llm/engine/config.json": engine(), f"{MADE}/llm/engine/rank0.engine": ""},
            InstallError,
            "rank0.engine` is missing or empty",
        ),
        (
            "build llm",
            {
                f"{MADE}/llm/engine/config.json": engine(
                    plugin_config={"tokens_per_block": 64, "use_paged_context_fmha": True}
                ),
                f"{MADE}/llm/engine/rank0.engine": "engine",
            },
            InstallError,
            "`build llm` was asked for `tokens_per_block` = `32` and built `64`",
        ),
        (
            "build llm",
            {
                f"{MADE}/llm/engine/config.json": engine(
                    plugin_config={"use_paged_context_fmha": False}
                ),
                f"{MADE}/llm/engine/rank0.engine": "engine",
            },
            InstallError,
            "asked for `use_paged_context_fmha` = `True` and built `False`",
        ),
        (
            "fetch llm",
            {f"{LLM}/tokenizer_config.json": {}},
            CheckpointError,
            "a model without one cannot chat",
        ),
    ],
)
def test_another_result_than_the_one_asked_for_is_refused(
    tmp_path: Path, name: str, files: dict[str, Any], kind: type[BuildError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        verify(tmp_path, name, files)
    assert message in str(caught.value)


def test_an_engine_as_asked_for_is_taken(tmp_path: Path) -> None:
    files = {
        f"{MADE}/llm/engine/config.json": engine(),
        f"{MADE}/llm/engine/rank0.engine": "engine",
    }
    verify(tmp_path, "build llm", files)

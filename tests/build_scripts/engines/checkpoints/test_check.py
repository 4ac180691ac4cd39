"""Which checkpoints are refused before anything large is fetched, and with which cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from build_scripts.engines.checkpoints import check
from build_scripts.errors import CheckpointError
from tests.build_scripts.fake_trtllm import LLM, QUANTISED

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}
AWQ: dict[str, Any] = {**QUANTISED, "version": "gemm"}


def checked(tmp_path: Path, kind: str = "int4_awq", **changes: Any) -> dict[str, Any]:
    config, verdict = tmp_path / "config.json", tmp_path / "checked.json"
    config.write_text(json.dumps({**LLM, **changes}))
    arguments = [str(config), "--quantisation", kind, "--architecture", "mistral-small-24b"]
    check.main([*arguments, "--context-tokens", "8192", "--into", str(verdict)])
    found: dict[str, Any] = json.loads(verdict.read_text())
    return found


def test_what_the_converted_checkpoint_must_state(tmp_path: Path) -> None:
    wanted = {"quant_algo": "W4A16_GPTQ", "group_size": 128, "has_zero_point": True}
    assert checked(tmp_path) == wanted
    assert checked(tmp_path, "int4_gptq", quantization_config=GPTQ) == wanted
    assert checked(tmp_path, "float16", quantization_config=None) == {"quant_algo": None}
    assert checked(tmp_path, "int8", quantization_config=None) == {"quant_algo": "W8A16"}


@pytest.mark.parametrize(
    ("kind", "quantisation", "said"),
    [
        ("int4_gptq", {**GPTQ, "desc_act": True}, "`desc_act` = `True`"),
        ("int4_gptq", {**GPTQ, "sym": False}, "`sym` = `False`"),
        ("int4_gptq", {**GPTQ, "group_size": 32}, "`group_size` = `32`"),
        ("int4_gptq", {**GPTQ, "bits": 8}, "`bits` = `8`"),
        ("int4_gptq", {**GPTQ, "checkpoint_format": "marlin"}, "`checkpoint_format` = `marlin`"),
        ("int4_awq", {**AWQ, "version": "gemv"}, "`version` = `gemv`"),
        ("int4_awq", GPTQ, 'write quantisation = "int4_gptq"'),
        ("int4_awq", {"quant_method": "compressed-tensors"}, "would convert as if it were 16-bit"),
        ("int4_awq", None, "is not quantised"),
        ("float16", AWQ, 'write quantisation = "int4_awq"'),
    ],
)
def test_a_form_that_the_converter_misreads_is_refused(
    tmp_path: Path, kind: str, quantisation: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        checked(tmp_path, kind, quantization_config=quantisation)
    assert said in str(caught.value)
    assert not (tmp_path / "checked.json").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["Mistral3ForConditionalGeneration"]}, "its text model alone"),
        ({"architectures": ["MixtralForCausalLM"]}, "wanted one of MistralForCausalLM"),
        ({"max_position_embeddings": 4096}, "made for at most `4096`"),
        ({"num_hidden_layers": 32}, "`num_hidden_layers` = `32`, llm.architecture"),
        ({"tie_word_embeddings": True}, "`tie_word_embeddings` = `True`"),
    ],
)
def test_another_model_than_the_plan_counts_with_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        checked(tmp_path, **changes)
    assert said in str(caught.value)


def test_a_path_that_misleads_the_converter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "llava").mkdir()
    with pytest.raises(CheckpointError, match="rename the directory"):
        checked(tmp_path / "llava")

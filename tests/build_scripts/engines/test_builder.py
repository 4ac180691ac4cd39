"""On which machines an engine may be built, and what is said on the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from build_scripts import container
from build_scripts.engines import builder, faults
from build_scripts.errors import MachineError
from build_scripts.gpus import Gpu, GpuProcess
from build_scripts.plans import plan
from build_scripts.plans.schema import Card
from tests.build_scripts.fake_nvml import gpu

RIGHT = {"tensorrt_llm": container.TENSORRT_LLM, "tensorrt": container.TENSORRT}
MIB = 2**20


@pytest.fixture
def card() -> Card:
    found = plan.load("rtx3090").card
    assert found is not None
    return found


def test_the_pinned_container_on_the_idle_card_is_right(card: Card) -> None:
    idle = gpu(free_gib=23.5, processes=(GpuProcess(900, "Xorg", 5 * MIB),))
    found = builder.verify(card, RIGHT, [idle])
    assert found.facts() == {**RIGHT, "sm": 86}


@pytest.mark.parametrize(
    ("versions", "gpus", "said"),
    [
        ({**RIGHT, "tensorrt_llm": "0.9"}, [gpu()], f"is `0.9`, wanted `{container.TENSORRT_LLM}`"),
        ({**RIGHT, "tensorrt": ""}, [gpu()], "`tensorrt` is `not installed`"),
        (RIGHT, [], "NVML shows no GPU"),
        (RIGHT, [gpu("NVIDIA L4", 89)], "SM89"),
        (RIGHT, [gpu(processes=(GpuProcess(7, "ollama", 900 * MIB),))], "pid 7 `ollama` 900 MiB"),
        (RIGHT, [gpu(free_gib=20)], "by processes that cannot be seen from here"),
    ],
)
def test_any_other_machine_is_refused(
    card: Card, versions: dict[str, str], gpus: list[Gpu], said: str
) -> None:
    with pytest.raises(MachineError) as caught:
        builder.verify(card, versions, gpus)
    assert said in str(caught.value)


def test_outside_of_the_container_the_cure_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "PYTHON", "/nowhere/python3")
    with pytest.raises(MachineError, match=r"no `/nowhere/python3` here.*25\.10-trtllm"):
        builder.versions()


def test_the_question_for_versions_runs_on_a_plain_interpreter() -> None:
    command = [sys.executable, "-c", builder._ASK, "numpy", "no-such-package"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '"no-such-package": ""' in ran.stdout
    assert '"numpy": "1.' in ran.stdout


@pytest.mark.parametrize(
    ("log", "status", "said"),
    [
        ("RuntimeError: Required but not provided tensors:{'x'}", 1, "another TensorRT-LLM"),
        ("AttributeError: 'PretrainedConfig' object has no attribute 'n_audio_ctx'", 1, "another"),
        ("ValueError: GPTQ with desc_act=True is not implemented!", 1, "activation order"),
        ("AssertionError: Engine building failed, please check the error log.", 1, "GPU's memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", 1, "GPU's memory"),
        ("RuntimeError: Found no NVIDIA driver on your system", 1, "no GPU"),
        ("ModuleNotFoundError: No module named 'tensorrt_llm'", 1, "not the one of NVIDIA's"),
        ("converting ...", -9, "kernel ended it"),
    ],
)
def test_a_known_message_has_a_cause_and_a_cure(log: str, status: int, said: str) -> None:
    fault = faults.explain(log, status)
    assert fault is not None
    assert said in fault.cause
    assert fault.cure


def test_harmless_warnings_of_a_build_that_failed_otherwise_are_not_blamed() -> None:
    log = "[TRT] [W] max_seq_len 3000 is larger than max_position_embeddings 1500\nSegmentation"
    assert faults.explain(log, 1) is None

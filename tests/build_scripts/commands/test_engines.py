"""What `engines --dry-run` prints for a plan, and that it can be run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from build_scripts import paths
from build_scripts.engines import build
from build_scripts.engines.gguf import llm
from build_scripts.errors import PlanError
from build_scripts.plans import plan

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SEGMENTATION = f".venv/lib/{PYTHON}/site-packages/whisperx/assets/pytorch_model.bin"

Document = dict[str, Any]


def packaged(name: str, of: str, *inputs: str) -> Document:
    target = f"engines/{of}/{name}"
    argv = ["python", "-m", "build_scripts.engines.packaged", name, target]
    return {"name": f"make {name}", "argv": argv, "inputs": list(inputs), "outputs": [target]}


CPU: list[Document] = [
    packaged("whisper", "cpu"),
    packaged("segmentation", "cpu", SEGMENTATION),
    packaged("embedding", "cpu"),
    {
        "name": "make llm",
        "argv": [
            *("python", "-m", "build_scripts.engines.gguf.llm", "embedded", "engines/cpu/llm"),
            *("--engine", "openvino", "--context-tokens", "8192"),
        ],
        "inputs": [],
        "outputs": ["engines/cpu/llm"],
    },
]


def dry_run(name: str, **environment: str) -> list[Document]:
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", "engines", "--dry-run", "--json", "--plan", name],
        cwd=paths.ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    document: list[Document] = json.loads(ran.stdout)
    assert all(list(step) == ["name", "argv", "inputs", "outputs"] for step in document)
    return document


def test_the_plan_without_a_card_is_made_of_packages() -> None:
    assert dry_run("cpu") == CPU


def test_every_step_of_a_card_s_plan_is_printed() -> None:
    steps = [step.document() for step in build.steps(plan.load("rtx3090"))]
    assert dry_run("rtx3090") == steps
    assert steps[-2:] == [
        packaged("segmentation", "rtx3090", SEGMENTATION), packaged("embedding", "rtx3090")
    ]  # fmt: skip


def test_the_dial_turns_what_is_built() -> None:
    (step,) = [one for one in dry_run("rtx3090", VRAM_GIB="22.1") if one["name"] == "build llm"]
    assert step["argv"][step["argv"].index("--max_seq_len") + 1] == "7168"


def test_the_verbs_that_the_dial_does_not_turn_say_so() -> None:
    for verb in ("repository", "measure"):
        ran = subprocess.run(
            [sys.executable, "-m", "build_scripts", verb], cwd=paths.ROOT, capture_output=True,
            text=True, env={**os.environ, "VRAM_GIB": "20"}, check=False,
        )  # fmt: skip
        assert ran.returncode == PlanError.exit_code
        assert f"VRAM_GIB is `20`, which `{verb}` does not read" in ran.stderr


@pytest.mark.skipif(not (paths.ENGINES / "llm").is_dir(), reason="no engines here: `make engines`")
@pytest.mark.parametrize("step", CPU, ids=lambda step: step["name"])
def test_what_is_printed_can_be_run_and_finds_what_is_there(step: Document) -> None:
    if step["name"] == "make llm" and plan.load("cpu").llm.checkpoint != llm.EMBEDDED:
        pytest.skip("this checkout's plan has another model")
    ran = subprocess.run(
        [sys.executable, *step["argv"][1:]], cwd=paths.ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": ""}, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"{Path(step['outputs'][0]).name}: verified" in ran.stdout

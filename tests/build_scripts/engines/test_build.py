"""What `engines` runs for a plan, all of it and in order, and that what it prints can be run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.engines import build as engines
from build_scripts.engines import diarize, packages, trtllm
from build_scripts.engines.gguf import llm
from build_scripts.engines.step import Command
from build_scripts.errors import PlanError
from build_scripts.plans import plan

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SEGMENTATION = f".venv/lib/{PYTHON}/site-packages/whisperx/assets/pytorch_model.bin"


def weights(name: str, of: str, *inputs: str) -> Command:
    target = f"engines/{of}/{name}"
    argv = ("python", "-m", "build_scripts.engines.packaged", name, target)
    return Command(f"make {name}", argv, inputs, (target,))


CPU = [
    weights("whisper", "cpu"),
    weights("segmentation", "cpu", SEGMENTATION),
    weights("embedding", "cpu"),
    Command(
        "make llm",
        (
            *("python", "-m", "build_scripts.engines.gguf.llm", "embedded", "engines/cpu/llm"),
            *("--engine", "openvino", "--context-tokens", "8192"),
        ),
        (),
        ("engines/cpu/llm",),
    ),
]


def dry_run(name: str, **environment: str) -> list[Command]:
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", "engines", "--dry-run", "--json", "--plan", name],
        cwd=paths.ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    document = json.loads(ran.stdout)
    assert all(list(one) == ["name", "argv", "inputs", "outputs"] for one in document)
    return [Command(*(one if isinstance(one, str) else tuple(one) for one in found.values()))
            for found in document]  # fmt: skip


def test_the_plan_without_a_card_is_made_of_packages() -> None:
    assert dry_run("cpu") == CPU


def test_a_card_s_engines_are_pyannotes_nvidias_and_the_speaker_models() -> None:
    community = diarize.commands(plan.load("rtx3090"))  # first: it may ask for a token
    nvidias = trtllm.commands(plan.load("rtx3090"))  # word for word in their own test
    speakers = [
        weights("segmentation", "rtx3090", SEGMENTATION), weights("embedding", "rtx3090")
    ]  # fmt: skip
    assert dry_run("rtx3090") == [*community, *nvidias, *speakers]


def test_the_dial_turns_what_is_built() -> None:
    (build,) = [one for one in dry_run("rtx3090", VRAM_GIB="22.1") if one.name == "build llm"]
    assert build.argv[build.argv.index("--max_seq_len") + 1] == "7168"


def test_the_verbs_that_the_dial_does_not_turn_say_so() -> None:
    for verb in ("repository", "measure"):
        ran = subprocess.run(
            [sys.executable, "-m", "build_scripts", verb], cwd=paths.ROOT, capture_output=True,
            text=True, env={**os.environ, "VRAM_GIB": "20"}, check=False,
        )  # fmt: skip
        assert ran.returncode == PlanError.exit_code
        assert f"VRAM_GIB is `20`, which `{verb}` does not read" in ran.stderr


def test_what_a_server_reads_is_made_by_these_commands() -> None:
    assert engines.directories(plan.load("cpu")) == [one.outputs[0] for one in CPU]
    found = engines.directories(plan.load("rtx3090"))
    assert [one.removeprefix("engines/rtx3090/") for one in found if "/align/" not in one] == [
        "whisper", "llm", "segmentation", "embedding",
    ]  # fmt: skip


@pytest.mark.skipif(not (paths.ENGINES / "llm").is_dir(), reason="no engines here: `make engines`")
@pytest.mark.parametrize("command", CPU, ids=lambda one: one.name)
def test_what_is_printed_can_be_run_and_finds_what_is_there(command: Command) -> None:
    if command.name == "make llm" and plan.load("cpu").llm.checkpoint != llm.EMBEDDED:
        pytest.skip("this checkout's plan has another model")
    ran = subprocess.run(
        [sys.executable, *command.argv[1:]], cwd=paths.ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": ""}, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"{Path(command.outputs[0]).name}: verified" in ran.stdout


def test_the_verb_runs_them_by_the_arguments_that_it_prints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[tuple[str, ...]] = []
    for module in packages._MAIN:
        monkeypatch.setitem(
            packages._MAIN, module, lambda given, say, m=module: ran.append((m, *given))
        )
    engines.build(plan.load("cpu"), print)
    assert ran == [one.argv[2:] for one in CPU]

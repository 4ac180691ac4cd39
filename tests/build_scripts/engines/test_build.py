"""The steps of a plan, those that run in this process, and where their results are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.engines import build, diarize, packaged
from build_scripts.engines.gguf import llm
from build_scripts.errors import CheckpointError
from build_scripts.plans import plan

Say = Callable[[str], None]


def test_what_a_server_reads_is_made_by_these_steps() -> None:
    assert build.directories(plan.load("cpu")) == [
        f"engines/cpu/{name}" for name in ("whisper", "segmentation", "embedding", "llm")
    ]
    found = build.directories(plan.load("rtx3090"))
    assert [one.removeprefix("engines/rtx3090/") for one in found if "/align/" not in one] == [
        "whisper", "llm", "segmentation", "embedding",
    ]  # fmt: skip


def test_a_card_s_engines_are_pyannotes_nvidias_and_the_speaker_models() -> None:
    rtx3090 = plan.load("rtx3090")
    # pyannote's are first: they may ask for a token.
    assert build.steps(rtx3090) == [
        *diarize.steps(rtx3090), *build.gpu_steps(rtx3090), *build.package_steps(rtx3090),
    ]  # fmt: skip


def test_what_is_printed_makes_what_the_verb_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[object, ...]] = []

    def packaged_build(name: str, into: Path, say: Say) -> None:
        made.append((name, into))

    def llm_build(source: str, engine: str, into: Path, say: Say) -> None:
        made.append((source, engine, into))

    def verify_window(window: int, into: Path) -> None:
        made.append((window, into))

    monkeypatch.setattr(packaged, "build", packaged_build)
    monkeypatch.setattr(llm, "build", llm_build)
    monkeypatch.setattr(llm, "verify_window", verify_window)
    cpu = plan.load("cpu")
    build.build(cpu, print)
    by_the_verb, made = made, []
    mains: dict[str, Callable[[list[str]], None]] = {
        "build_scripts.engines.packaged": packaged.main,
        "build_scripts.engines.gguf.llm": llm.main,
    }
    for step in build.package_steps(cpu):
        python, dash_m, module, *arguments = step.argv
        assert (python, dash_m) == ("python", "-m")
        mains[module](arguments)
    assert made == by_the_verb
    assert len(made) == 5
    assert made[0] == ("whisper", paths.ROOT / "engines/cpu/whisper")


def test_a_window_that_is_longer_than_the_model_s_is_refused(
    tmp_path: Path,
) -> None:
    (step,) = [one for one in build.package_steps(plan.load("cpu")) if one.name == "make llm"]
    folder = tmp_path / step.outputs[0]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"max_position_embeddings": 4096}')
    assert step.verify is not None
    with pytest.raises(CheckpointError, match="`8192`, the model was made for at most `4096`"):
        step.verify(tmp_path)

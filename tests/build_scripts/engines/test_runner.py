"""Which steps of a GPU build run, when, and what is left when one fails or everything is killed.

NVIDIA's tools are fakes (fake_trtllm.py); the runner, the records and the manifests are real.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from build_scripts import container
from build_scripts.engines import build, builder
from build_scripts.engines.runner import Runner
from build_scripts.engines.step import scratch
from build_scripts.errors import BuildError, CheckpointError, InstallError, MachineError
from build_scripts.plans import plan
from build_scripts.plans.schema import Plan
from onecard import manifest
from tests.build_scripts import fake_trtllm

FAKE = str(Path(fake_trtllm.__file__))
ALL = 16


@pytest.fixture
def rtx3090() -> Plan:
    return plan.load("rtx3090")


def runner(
    root: Path,
    of: Plan,
    sm: int = 86,
    tensorrt: str = container.TENSORRT,
    look: Callable[[], object] = lambda: None,
) -> Runner:
    machine = builder.Builder(container.TENSORRT_LLM, tensorrt, sm)
    programs = {
        name: [sys.executable, FAKE, name] for name in ("python", container.PYTHON, "trtllm-build")
    }
    said: list[str] = []
    return Runner(
        build.gpu_steps(of),
        machine.facts(),
        scratch(of.name),
        said.append,
        root=root,
        programs=programs,
        look=look,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with all engines of rtx3090, which took a process for each step."""
    root = tmp_path_factory.mktemp("made")
    assert len(runner(root, plan.load("rtx3090")).run()) == ALL
    return root


@pytest.fixture
def made(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "made", symlinks=True)


def with_llm(of: Plan, **changes: object) -> Plan:
    return dataclasses.replace(of, llm=dataclasses.replace(of.llm, **changes))  # type: ignore[arg-type]


def test_everything_is_made_and_a_second_run_does_nothing(made: Path, rtx3090: Plan) -> None:
    assert runner(made, rtx3090).run() == []
    home = made / "engines" / "rtx3090"
    whisper, llm = manifest.verify(home / "whisper"), manifest.verify(home / "llm")
    assert sorted(whisper.files) == [
        "decoder/config.json",
        "decoder/rank0.engine",
        "encoder/config.json",
        "encoder/rank0.engine",
        "preprocessor_config.json",
        "tokenizer.json",
    ]
    assert sorted(llm.files) == [
        "config.json",
        "rank0.engine",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "xgrammar_tokenizer_info.json",
    ]
    assert (llm.backend, llm.precision, llm.licence) == ("tensorrtllm", "int4_awq", "apache-2.0")
    assert llm.model.startswith("stelterlab/Mistral-Small-24B-Instruct-2501-AWQ (")
    assert manifest.verify(home / "align" / "en").backend == "torch"


def test_more_context_builds_the_llm_again_and_nothing_else(made: Path, rtx3090: Plan) -> None:
    longer = with_llm(rtx3090, context_tokens=12288, kv_tokens=12288)
    # The check reads the context too; the conversion depends on the check.
    assert runner(made, longer).run() == [
        "check llm",
        "convert llm",
        "build llm",
        "assemble llm",
    ]


def test_more_sequences_build_the_llm_without_converting_it(made: Path, rtx3090: Plan) -> None:
    more = with_llm(rtx3090, sequences_in_flight=2)
    assert runner(made, more).run() == ["build llm", "assemble llm"]


def test_another_batch_builds_both_halves_of_whisper(made: Path, rtx3090: Plan) -> None:
    speech = dataclasses.replace(rtx3090.speech, chunks_in_flight=2)
    assert runner(made, dataclasses.replace(rtx3090, speech=speech)).run() == [
        "build whisper encoder",
        "build whisper decoder",
        "assemble whisper",
    ]


def test_another_revision_is_fetched_converted_and_built(made: Path, rtx3090: Plan) -> None:
    ran = runner(made, with_llm(rtx3090, revision="d" * 40)).run()
    assert ran == [
        "fetch llm configuration",
        "check llm",
        "fetch llm",
        "convert llm",
        "build llm",
        "describe llm vocabulary",
        "assemble llm",
    ]


def test_another_gpu_or_tensorrt_makes_everything_of_nvidia_s_again(
    made: Path, rtx3090: Plan
) -> None:
    for other in (runner(made, rtx3090, sm=89), runner(made, rtx3090, tensorrt="10.14")):
        missing = [step.name for step in other.missing()]
        assert len(missing) == 8
        assert not any(name.startswith("fetch") or "align" in name for name in missing)


def test_engines_stay_valid_when_what_lay_on_the_way_is_removed(made: Path, rtx3090: Plan) -> None:
    fixed = with_llm(rtx3090, revision="d" * 40)
    runner(made, fixed).run()
    shutil.rmtree(made / scratch("rtx3090"))
    shutil.rmtree(made / "engines" / ".checkpoints")
    assert runner(made, fixed).missing() == []


def test_a_damaged_engine_is_built_again(made: Path, rtx3090: Plan) -> None:
    (made / "engines/rtx3090/llm/rank0.engine").write_text("a bit flipped")
    assert runner(made, rtx3090).run() == [
        "build llm",
        "describe llm vocabulary",
        "assemble llm",
    ]
    manifest.verify(made / "engines/rtx3090/llm")


def test_a_failing_step_says_its_command_its_log_and_the_likely_cause(
    tmp_path: Path, rtx3090: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAIL", "trtllm-build --checkpoint_dir engines/rtx3090/.build/llm")
    monkeypatch.setenv(
        "FAKE_SAYS", "RuntimeError: Required but not provided tensors:{'lm_head.weight'}"
    )
    with pytest.raises(InstallError) as caught:
        runner(tmp_path, rtx3090).run()
    message = str(caught.value)
    assert "`build llm` failed (status 1)" in message
    assert "trtllm-build --checkpoint_dir engines/rtx3090/.build/llm/checkpoint" in message
    assert "Required but not provided tensors:{'lm_head.weight'}" in message
    assert "converted by another TensorRT-LLM" in message
    assert not (tmp_path / "engines/rtx3090/llm").exists()
    monkeypatch.delenv("FAKE_FAIL")
    assert runner(tmp_path, rtx3090).run()[0] == "build llm"


def test_a_failing_step_of_our_own_says_one_sentence_and_keeps_its_status(
    tmp_path: Path, rtx3090: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_long = with_llm(rtx3090, context_tokens=65536, kv_tokens=65536)
    with pytest.raises(BuildError, match=r"^llm\.context_tokens is `65536`, the model") as caught:
        runner(tmp_path, too_long).run()
    assert caught.value.exit_code == CheckpointError.exit_code


def test_the_machine_is_looked_at_again_between_fetching_and_building(
    tmp_path: Path, rtx3090: Plan
) -> None:
    def busy() -> None:
        raise MachineError("in use")

    with pytest.raises(MachineError):
        runner(tmp_path, rtx3090, look=busy).run()
    ran = [line.split(" ")[0] for line in (tmp_path / "calls.log").read_text().splitlines()]
    assert "build_scripts.fetch.hub" in ran
    assert "convert_checkpoint.py" not in ran
    looks: list[None] = []
    runner(tmp_path, rtx3090, look=lambda: looks.append(None)).run()
    assert len(looks) == 1


def test_a_checkpoint_without_a_chat_template_is_refused(tmp_path: Path, rtx3090: Plan) -> None:
    mine = tmp_path / "mine"
    fake_trtllm.write(mine / "config.json", fake_trtllm.LLM)
    fake_trtllm.write(mine / "tokenizer_config.json", {})
    with pytest.raises(CheckpointError, match="a model without one cannot chat"):
        runner(tmp_path, with_llm(rtx3090, checkpoint=str(mine))).run()


def test_a_limit_that_the_builder_lowered_is_refused(
    tmp_path: Path, rtx3090: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_LIMIT", "114")
    with pytest.raises(InstallError, match="`max_seq_len` = `3000` and built `114`"):
        runner(tmp_path, rtx3090).run()
    assert not (tmp_path / "engines/rtx3090/whisper").exists()


KILLED = """
import sys
from pathlib import Path
from build_scripts.plans import plan
from tests.build_scripts.engines.test_runner import runner
runner(Path(sys.argv[1]), plan.load("rtx3090")).run()
"""


def test_a_killed_build_leaves_no_half_engine_and_is_taken_up(
    tmp_path: Path, rtx3090: Plan
) -> None:
    hang = "--output_dir engines/rtx3090/.build/whisper/decoder"
    environment = {**os.environ, "FAKE_HANG": hang, "PYTHONPATH": os.getcwd()}
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], env=environment)
    deadline_s = time.monotonic() + 60
    while not (tmp_path / "hangs").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    home = tmp_path / "engines" / "rtx3090"
    assert (home / ".build/whisper/decoder/rank0.engine").read_text() == "half an eng"
    assert not (home / "whisper").exists()
    ran = runner(tmp_path, rtx3090).run()
    assert ran[0] == "build whisper decoder"
    manifest.verify(home / "whisper")
    assert (home / "whisper/decoder/rank0.engine").read_text().startswith("engine ")


def test_an_interrupted_rebuild_leaves_the_engine_that_was_there(
    made: Path, rtx3090: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = manifest.verify(made / "engines/rtx3090/llm")
    monkeypatch.setenv("FAKE_FAIL", "build_scripts.engines.assemble engines/rtx3090/llm")
    with pytest.raises(BuildError):
        runner(made, with_llm(rtx3090, sequences_in_flight=2)).run()
    assert manifest.verify(made / "engines/rtx3090/llm") == before

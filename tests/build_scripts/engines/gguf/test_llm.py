"""The language model's directory: made of the file that the plan names, and only when needed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.commands import engines as verb
from build_scripts.engines.gguf import llm
from build_scripts.errors import CheckpointError, InstallError, MachineError
from build_scripts.fetch import directory
from build_scripts.plans import plan
from onecard import manifest
from tests.build_scripts import gguf_files

CPU = plan.load("cpu").llm
FILES = {
    "config.json",
    "tokenizer/generation_config.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "xgrammar_tokenizer_info.json",
}
WEIGHTS = {"openvino": {"openvino_model.xml", "openvino_model.bin"}, "llama.cpp": {"model.gguf"}}


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "ENGINES", tmp_path / "engines")
    return tmp_path / "engines"


def made(source: Path, engine: str = "openvino") -> str:
    said: list[str] = []
    llm.build(str(source), engine, paths.ENGINES / "llm", said.append)
    return said[-1]


def test_another_file_takes_the_place_of_the_first(tmp_path: Path, engines: Path) -> None:
    source = gguf_files.write(tmp_path / "tiny.gguf", weights="F16")
    assert made(source).startswith("llm: made (tiny (GGUF ")
    first = manifest.verify(engines / "llm")
    assert (first.backend, first.precision, first.licence) == ("openvino", "F16", "not stated")
    assert first.files.keys() == FILES | WEIGHTS["openvino"]
    assert made(source).startswith("llm: verified (tiny ")

    gguf_files.write(source, weights="F16", seed=1)
    assert made(source).startswith("llm: made ")
    second = manifest.verify(engines / "llm")
    assert second.model != first.model
    assert second.files["openvino_model.bin"] != first.files["openvino_model.bin"]
    assert [path.name for path in engines.iterdir()] == ["llm"]


def test_a_plan_with_a_longer_window_than_the_model_s_is_refused(
    tmp_path: Path, engines: Path
) -> None:
    made(gguf_files.write(tmp_path / "tiny.gguf"))
    llm.verify_window(gguf_files.CONTEXT, engines / "llm")
    with pytest.raises(CheckpointError, match="`513`, the model was made for at most `512` tokens"):
        llm.verify_window(gguf_files.CONTEXT + 1, engines / "llm")


def test_what_openvino_fails_at_leaves_the_old_model(tmp_path: Path, engines: Path) -> None:
    made(gguf_files.write(tmp_path / "good.gguf"))
    stated = gguf_files.metadata(**{"general.file_type": None})  # which OpenVINO insists on
    with pytest.raises(InstallError, match=r"could not convert .*odd\.gguf"):
        made(gguf_files.write(tmp_path / "odd.gguf", stated))
    assert manifest.verify(engines / "llm").model.startswith("good ")
    assert not list(engines.rglob(llm.SCRATCH))


def test_a_type_that_openvino_would_round_is_rewritten(tmp_path: Path, engines: Path) -> None:
    made(gguf_files.write(tmp_path / "tiny.gguf", weights="Q5_1"))
    found = manifest.verify(engines / "llm")
    assert found.precision == "Q5_1 as Q8_0"
    assert found.files.keys() == FILES | WEIGHTS["openvino"]
    assert not list(engines.rglob(llm.SCRATCH))


def test_llama_cpp_gets_the_file_as_it_is(tmp_path: Path) -> None:
    source = gguf_files.write(tmp_path / "tiny.gguf", weights="Q5_0")
    (tmp_path / "llm").mkdir()
    llm.make(llm.read(source, "llama.cpp"), tmp_path / "llm", "llama.cpp", print)
    assert manifest.scan(
        tmp_path / "llm", name="", model="", backend="", precision="", licence=""
    ).files.keys() == (FILES | WEIGHTS["llama.cpp"])
    assert (tmp_path / "llm" / "model.gguf").read_bytes() == source.read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is not None, reason="it is installed")
def test_llama_cpp_that_is_not_installed_is_said(tmp_path: Path, engines: Path) -> None:
    with pytest.raises(CheckpointError, match=r"`llama-cpp-python`.*not installed.*pip install"):
        made(gguf_files.write(tmp_path / "tiny.gguf"), "llama.cpp")
    assert not engines.exists()


def test_an_engine_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"`vllm`, must be one of openvino, llama\.cpp"):
        made(tmp_path / "any.gguf", "vllm")


def test_a_file_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, engines: Path
) -> None:
    stated = gguf_files.metadata(**{"tokenizer.chat_template": None})
    with pytest.raises(CheckpointError, match="no chat template"):
        made(gguf_files.write(tmp_path / "base.gguf", stated))
    assert not engines.exists()


needs_engine = pytest.mark.skipif(
    not (paths.ENGINES / "llm").is_dir(), reason="no LLM here: `make engines`"
)


@needs_engine
@pytest.mark.skipif(CPU.checkpoint != llm.EMBEDDED or CPU.engine != "openvino", reason="")
def test_the_embedded_default_is_complete() -> None:
    recipe = llm.embedded("openvino")
    assert directory.is_complete(paths.ENGINES / "llm", recipe)


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "build_scripts", "engines"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(paths.ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_verb_says_what_is_wrong_with_the_plan_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "model.txt").write_text("not a model")
    stated = (paths.ROOT / "plans" / "cpu.toml").read_text()
    changed = stated.replace('"embedded"\n', f'"{tmp_path}/model.txt"\n')
    (tmp_path / "plans" / "cpu.toml").write_text(changed)
    monkeypatch.setattr(plan, "PLANS", tmp_path / "plans")
    with pytest.raises(CheckpointError, match=f"^`{tmp_path}/model.txt` begins with `b'not '`"):
        verb.main(["--plan", "cpu"])


def test_the_verb_builds_for_a_card_where_nvidias_tools_are_and_says_so() -> None:
    ran = run(paths.ROOT, PLAN="rtx3090")
    assert ran.returncode == MachineError.exit_code
    assert "run it in the container `nvcr.io/nvidia/tritonserver:" in ran.stderr

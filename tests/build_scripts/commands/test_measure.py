"""What is measured of a card: the figures' names and the file on a fake card, the code on the CPU.

No test measures a card: figures below are made up or are of this process.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from build_scripts import gpus, paths
from build_scripts.commands import measure
from build_scripts.errors import BuildError, MachineError
from build_scripts.gpus import Gpu, GpuProcess
from build_scripts.measure import interpreter, networks, triton
from build_scripts.measure import meter as measure_meter
from build_scripts.memory.ledger import compute_ledger
from build_scripts.memory.measured import Figure, read_figures
from build_scripts.plans import plan
from build_scripts.plans.schema import Serving
from tests.build_scripts.fake_nvml import gpu
from tests.build_scripts.serving import needs_triton

MIB = 2**20


def fake_run(name: str) -> dict[str, Any]:
    """What a section might say of a card; a stated number for each figure."""
    if name in measure.SPEECH:
        return {"figures": {}, "facts": {"made_up": {"most_s": 0.0}}}
    figures = {
        "align": {"align_working_set": {"bytes": 200 * MIB, "how": "made up", "batch": 1}},
        "diarize": {
            "diarize_pipeline_weights": {"bytes": 12 * MIB, "how": "made up"},
            "diarize_pipeline_working_set": {"bytes": 160 * MIB, "how": "made up", "batch": 16},
        },
        "kv": {"llm_kv": {"bytes": 1280 * MIB, "how": "made up"}},
        "triton": {"triton_context": {"bytes": 150 * MIB, "how": "made up"},
                   "cuda_pool": {"bytes": 66 * MIB, "how": "made up"}},
    }  # fmt: skip
    if name == "triton":
        return {"figures": figures[name]}
    outside = {"align": 310 * MIB, "diarize": 330 * MIB, "kv": None}
    sweep = [{"what": name, "batch": 1, "bytes": MIB}]
    about = {"outside_bytes": outside[name], "torch": "2.13.0+cu126", "cuda": "12.6"}
    return {"figures": figures[name], "sweeps": sweep, **about}


def measured(*names: str, failing: tuple[str, ...] = ()) -> dict[str, Any]:
    def run(name: str) -> dict[str, Any]:
        if name in failing:
            raise BuildError(f"{name} is broken")
        return fake_run(name)

    found, failed = measure.sections(names, run)
    return measure.document(gpu(), "rtx3090", found, failed)


def test_what_is_written_is_what_the_ledger_counts_with(tmp_path: Path) -> None:
    document = measured(*measure.SECTIONS)
    path = measure.write(document, tmp_path)
    assert path.name == "nvidia-geforce-rtx-3090.json"
    assert {document[key] for key in ("driver", "cuda", "torch")} == {
        "580.95.05", "12.6", "2.13.0+cu126",
    }  # fmt: skip
    assert [row["what"] for row in document["sweeps"]] == ["align", "diarize", "kv"]
    one = plan.load("rtx3090")
    assert one.card is not None
    figures = read_figures(one.card, tmp_path)
    twice = dataclasses.replace(one.align, batch_size=2)
    lines = compute_ledger(dataclasses.replace(one, align=twice), figures).lines
    found = {(line.process, line.kind): line.bytes for line in lines if line.basis == "measured"}
    assert found == {
        ("tritonserver", "pool"): 66 * MIB,
        ("align", "context"): 330 * MIB,  # the largest of those that the driver told
        ("align", "working set"): 400 * MIB,  # for twice the batch that was measured
        ("diarize", "context"): 330 * MIB,
        ("diarize", "weights"): 12 * MIB,
        ("diarize", "working set"): 160 * MIB,
    }


def test_a_section_that_fails_costs_no_other(tmp_path: Path) -> None:
    document = measured(*measure.SECTIONS, failing=("diarize",))
    found = json.loads(measure.write(document, tmp_path).read_text())
    assert found["failed"] == {"diarize": "diarize is broken"}
    assert found["sections"] == ["align", "kv", "triton", "parity", "whisper"]
    assert {"align_working_set", "llm_kv", "cuda_pool", "cuda_context"} == (
        found["figures"].keys() - {"triton_context"}
    )


def test_what_a_section_measured_before_it_failed_is_kept() -> None:
    def run(name: str) -> dict[str, Any]:
        return {**fake_run(name), "error": "OutOfMemoryError: at the last batch"}

    found, failed = measure.sections(["kv"], run)
    assert failed == {"kv": "OutOfMemoryError: at the last batch"}
    assert "llm_kv" in measure.document(gpu(), "rtx3090", found, failed)["figures"]


def test_a_subject_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    made = networks._pool
    sizes: list[int] = []

    def pool(num_bytes: int, device: torch.device) -> torch.Tensor:
        sizes.append(num_bytes)
        if len(sizes) > 2:  # the LLM's
            raise RuntimeError("CUDA error: unspecified launch failure")
        return made(num_bytes, device)

    monkeypatch.setattr(networks, "_pool", pool)
    found = networks.measured("kv", "cpu", plan.load("rtx3090"), networks.TRIAL)
    assert found["figures"].keys() == {"whisper_kv"}
    assert found["error"] == "RuntimeError: CUDA error: unspecified launch failure"


def test_a_second_run_adds_what_the_first_one_lacks(tmp_path: Path) -> None:
    measure.write(measured("align", "diarize", failing=("diarize",)), tmp_path)
    path = measure.write(measured("diarize", "triton"), tmp_path)
    found = json.loads(path.read_text())
    assert (found["failed"], found["sections"]) == ({}, ["diarize", "triton", "align"])
    assert [row["section"] for row in found["sweeps"]] == ["diarize", "align"]
    assert {"align_working_set", "diarize_pipeline_weights", "triton_context"} <= found[
        "figures"
    ].keys()
    assert found["torch"] == "2.13.0+cu126"
    newer = {**measured("kv"), "driver": "590.44.01"}  # nothing of another driver stays
    assert json.loads(measure.write(newer, tmp_path).read_text())["sections"] == ["kv"]


def test_triton_s_pool_is_counted_where_a_server_has_one() -> None:
    figures = {"cuda_pool": Figure(66 * MIB, "made up")}
    one = dataclasses.replace(plan.load("rtx3090"), serving=Serving("one_process"))
    pools = [line for line in compute_ledger(one, figures).lines if line.kind == "pool"]
    assert [(line.bytes, line.basis) for line in pools] == [(66 * MIB, "measured")]


def test_a_section_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        measure.main(["--sections", "kv,kw"], {}, lambda: [gpu()])
    assert "`kw` is no section, wanted some of align,diarize,kv,triton" in capsys.readouterr().err


def test_what_to_install_is_said_where_no_torch_can_use_the_card() -> None:
    if torch.cuda.is_available():
        pytest.skip("torch has a card here")
    with pytest.raises(MachineError) as caught:
        interpreter.find(dict(os.environ), [sys.executable, "/no/such/python"])
    said = str(caught.value)
    assert f"{sys.executable}: torch {torch.__version__}" in said
    assert "/no/such/python: cannot be asked" in said
    assert f".venv/bin/pip install torch=={torch.__version__.partition('+')[0]}" in said


def test_a_section_that_hangs_is_ended() -> None:
    with pytest.raises(BuildError, match="took more than 0 s; --limit gives it longer"):
        measure.subject("kv", "cpu", "rtx3090", limit_s=0.01)


def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    # A `python3` without any package, which fails as one on a bare machine does.
    python = tmp_path / "python3"
    python.write_text(
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'pyannote'\" >&2; exit 1"
    )
    python.chmod(0o755)
    with pytest.raises(BuildError, match=r"-m pip install pyannote\.audio` brings it"):
        measure.subject("diarize", "cpu", "rtx3090", python=str(python))


@needs_triton
def test_an_empty_triton_is_started_with_and_without_pools() -> None:
    """For real, but for the card: NVML is faked, and says that each server takes 100 MiB more."""
    seen = itertools.count()
    read = lambda: gpu(free_gib=24 - next(seen) * 100 / 1024)  # noqa: E731
    one = triton.runtime(nvidia=Path("/nowhere"))
    found = triton.figures(read, one)
    assert {name: figure["bytes"] for name, figure in found.items()} == {
        "triton_context": 100 * MIB, "cuda_pool": 0, "pinned_pool": 0,
    }  # fmt: skip
    assert all("the tritonserver of `make setup`" in figure["how"] for figure in found.values())


def test_a_triton_that_does_not_start_says_why(tmp_path: Path) -> None:
    binary = tmp_path / "tritonserver"
    binary.write_text("#!/bin/sh\necho libcudart.so.12 is missing; exit 1")
    binary.chmod(0o755)
    one = triton.Runtime(binary, "a fake")
    with pytest.raises(MachineError, match=r"did not start: libcudart\.so\.12 is missing"):
        triton.figures(gpu, one)


def test_the_caches_are_measured_with_nothing_but_torch(tmp_path: Path) -> None:
    code = (
        "import runpy, sys, importlib.abc, importlib.util\n"
        "class Bare(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('transformers', 'pyannote', 'av', 'sentencex'):\n"
        "            raise ModuleNotFoundError(f\"No module named '{name}'\", name=name)\n"
        "sys.meta_path.insert(0, Bare())\n"
        "sys.argv[1:] = ['kv', '--device', 'cpu', '--plan', 'rtx3090']\n"
        "import build_scripts.measure\n"
        "runpy.run_module('build_scripts.measure.networks', run_name='__main__')"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True,
                         text=True, check=False)  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {"llm_kv", "whisper_kv"} == json.loads(ran.stdout.splitlines()[-1])["figures"].keys()


def test_it_runs_where_nothing_is_set_up(tmp_path: Path) -> None:
    shutil.copytree(paths.ROOT / "build_scripts", tmp_path / "build_scripts")
    for name in ("onecard", "plans", "docker", "pyproject.toml"):
        (tmp_path / name).symlink_to(paths.ROOT / name)
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", "measure"], cwd=tmp_path, capture_output=True,
        text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, check=False,
    )  # fmt: skip
    assert (ran.returncode, "no GPU was found" in ran.stderr) == (MachineError.exit_code, True)


def test_without_a_card_it_says_so_and_ends_with_3(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no GPU was found") as caught:
        measure.main(["--out", str(tmp_path)], {}, lambda: [])
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_torch_without_cuda_is_the_machines_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("torch has a card here")
    with pytest.raises(MachineError, match=r"finds no CUDA device.*make doctor"):
        measure_meter.CardMeter(lambda: [gpu()])


@pytest.mark.parametrize(
    ("name", "cards", "wanted"),
    [
        ("auto", [gpu()], "rtx3090"),
        ("cpu", [gpu("NVIDIA A40", 86, 48.0)], "a40"),  # cpu has no card to take batches from
        ("rtx3090", [gpu("NVIDIA A40", 86, 48.0)], "rtx3090"),
        ("auto", [gpu("NVIDIA T4", 75, 16.0)], measure.REFERENCE),
    ],
)
def test_whose_batches_are_measured(name: str, cards: list[Gpu], wanted: str) -> None:
    assert measure._plan(name, cards) == wanted


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="ended with status 2"):
        measure.subject("kv", "cpu", "no-such-plan")


def test_trying_it_on_the_cpu_writes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--device", "cpu", "--out", str(tmp_path), "--sections", "kv,triton"]
    assert measure.main(asked) == 0  # the others take seconds to import
    said = capsys.readouterr().out
    assert "llm_kv" in said
    assert "nothing was measured" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "now", "wanted"),
    [
        ((), (GpuProcess(77, "", 300),), 300),  # the host's pid, in a container
        ((GpuProcess(5, "", 9),), (GpuProcess(5, "", 50), GpuProcess(42, "", 200)), 200),
        ((), (GpuProcess(42, "", 200), GpuProcess(77, "", 300)), 200),
        ((), (GpuProcess(70, "", 200), GpuProcess(77, "", 300)), None),  # nobody can tell
    ],
)
def test_which_of_the_cards_processes_is_meant(
    before: tuple[GpuProcess, ...], now: tuple[GpuProcess, ...], wanted: int | None
) -> None:
    assert gpus.process_bytes(gpu(processes=before), gpu(processes=now), pid=42) == wanted


def test_where_the_driver_tells_no_processes_the_card_has_grown() -> None:
    before, now = gpu(free_gib=24), gpu(free_gib=23)
    assert gpus.process_bytes(before, now, pid=42) == 2**30
    unified = [dataclasses.replace(one, unified=True) for one in (before, now)]
    assert gpus.process_bytes(*unified, pid=42) is None  # anybody's memory


def test_all_sections_end_within_the_time_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = itertools.count(0.0, 30.0)
    limits: dict[str, float] = {}

    def run(name: str, *_: Any) -> dict[str, Any]:
        limits[name] = _[-1]
        return {**fake_run("kv"), "error": ""}

    monkeypatch.setattr(measure.time, "monotonic", lambda: next(clock))  # type: ignore[attr-defined]
    monkeypatch.setattr(measure, "subject", run)
    asked = ["--device", "cpu", "--within", "240", "--limit", "70"]
    assert measure.main(asked) == 1
    assert list(limits) == ["align", "diarize"]  # each look at the clock takes 30 s
    assert all(0 < limit <= 70 for limit in limits.values())
    assert "the 240 s for all are over" in capsys.readouterr().out


def test_what_is_no_figure_is_written_beside_them(tmp_path: Path) -> None:
    facts = {"word_times": {"most_s": 0.04}}
    row = {"what": "ctranslate2", "batch": 4, "seconds": 30, "took_s": 1.5, "bytes": MIB}
    parts = {
        "parity": {"figures": {}, "facts": facts, "error": ""},
        "whisper": {"figures": {}, "facts": {}, "sweeps": [row], "error": ""},
    }
    found, failed = measure.sections(tuple(parts), lambda name: parts[name])
    document = measure.document(gpu(), "rtx3090", found, failed)
    assert document["facts"] == {"parity": facts}
    assert {"section": "whisper", **row} in document["sweeps"]
    path = measure.write(document, tmp_path)
    measure.write(measured("kv"), tmp_path)  # a later run of others leaves them
    assert json.loads(path.read_text())["facts"] == {"parity": facts}

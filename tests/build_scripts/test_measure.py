"""What is measured of a card: the figures' names and the file on a fake card, the code on the CPU.

No test measures a card: figures below are made up or are of this process.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Wav2Vec2ForCTC

from build_scripts import (
    architectures,
    ledger,
    ledger_lines,
    measure,
    measure_meter,
    measure_models,
    measure_speakers,
    measure_taken,
    plan,
)
from build_scripts.errors import BuildError, MachineError
from build_scripts.nvml import Gpu, GpuProcess
from tests.build_scripts.fake_nvml import gpu

MIB = 2**20


def fake_run(name: str, device: str, chosen: str, seen: Mapping[str, str]) -> dict[str, Any]:
    """A child process that says what a card might; a stated number for each figure."""
    assert (device, seen["CUDA_VISIBLE_DEVICES"]) == ("cuda", "GPU-1")
    figures = {
        "align": {"align_working_set": {"bytes": 200 * MIB, "how": "made up", "batch": 1}},
        "diarize": {
            "diarize_weights": {"bytes": 12 * MIB, "how": "made up"},
            "diarize_working_set": {"bytes": 160 * MIB, "how": "made up", "batch": 16},
        },
        "kv": {"llm_kv": {"bytes": 1280 * MIB, "how": "made up"}},
    }
    outside = {"align": 310 * MIB, "diarize": 330 * MIB, "kv": None}
    sweep = [{"what": name, "batch": 1, "bytes": MIB}]
    about = {"outside_bytes": outside[name], "torch": "2.13.0+cu126", "cuda": "12.6"}
    return {"figures": figures[name], "sweeps": sweep, **about}


def test_what_is_written_is_what_the_ledger_counts_with(tmp_path: Path) -> None:
    document = measure.measured(gpu(), "rtx3090", {}, lambda: [gpu()], fake_run)
    path = measure.write(document, tmp_path)
    assert path.name == "nvidia-geforce-rtx-3090.json"
    assert {document[key] for key in ("driver", "cuda", "torch")} == {
        "580.95.05", "12.6", "2.13.0+cu126",
    }  # fmt: skip
    assert [row["what"] for row in document["sweeps"]] == ["align", "diarize", "kv"]
    one = plan.load("rtx3090")
    assert one.card is not None
    figures = ledger_lines.measured(one.card, tmp_path)
    twice = dataclasses.replace(one.align, batch_size=2)
    lines = ledger.ledger(dataclasses.replace(one, align=twice), figures).lines
    found = {(line.process, line.kind): line.bytes for line in lines if line.basis == "measured"}
    assert found == {
        ("align", "context"): 330 * MIB,  # the largest of those that the driver told
        ("align", "working set"): 400 * MIB,  # for twice the batch that was measured
        ("diarize", "context"): 330 * MIB,
        ("diarize", "weights"): 12 * MIB,
        ("diarize", "working set"): 160 * MIB,
    }


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


def test_the_networks_are_those_that_the_ledger_counts() -> None:
    with torch.device("meta"):
        base, large = Wav2Vec2ForCTC(measure_models.BASE), Wav2Vec2ForCTC(measure_models.LARGE)
    assert _parameters(base) == architectures.ALIGN_BASE.num_parameters
    assert _parameters(large) == architectures.ALIGN_LARGE.num_parameters
    segmentation = measure_speakers.segmentation(10)
    assert _parameters(segmentation) == architectures.PYANNET_PARAMETERS
    wespeaker = measure_speakers.wespeaker()
    assert _parameters(wespeaker) == architectures.WESPEAKER_RESNET34_PARAMETERS
    own = measure_speakers.own_embedding()
    assert _parameters(own) == architectures.SPEAKER_ENCODER_PARAMETERS


def _parameters(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize(
    ("subject", "figures"),
    [
        ("align", {"align_weights", "align_working_set"}),
        ("diarize", {"diarize_weights", "diarize_working_set", "diarize_pipeline_weights",
                     "diarize_pipeline_working_set"}),
        ("kv", {"whisper_kv", "llm_kv"}),
    ],
)  # fmt: skip
def test_the_same_code_runs_on_the_cpu(subject: str, figures: set[str]) -> None:
    one = plan.load("rtx3090")
    small = dataclasses.replace(
        one, diarize=dataclasses.replace(one.diarize, segmentation_batch_size=2)
    )
    found = measure_models.measured(subject, "cpu", small, measure_models.TRIAL)
    assert figures <= set(found["figures"])
    for name in figures:
        batch = found["figures"][name].get("batch")
        assert (batch is not None) == name.endswith("working_set"), name
    assert found["outside_bytes"] is None  # no card: nothing is said of one
    assert all(row["bytes"] >= 0 and row["batch"] >= 1 for row in found["sweeps"])


class ScriptedMeter:
    """A fake of `Meter` on the CPU: each forward peaks at as many MiB as its batch."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.batch = 0

    def held(self) -> int:
        return 10 * MIB

    def peak(self) -> int:
        return (10 + self.batch) * MIB

    def outside(self) -> int | None:
        return None


def test_a_sweep_ends_with_the_first_batch_that_does_not_fit() -> None:
    meter = ScriptedMeter()
    subject = measure_models.Subject(meter)

    def forward(batch: int) -> None:
        meter.batch = batch
        if batch > 4:
            raise torch.OutOfMemoryError

    assert subject.sweep("it", forward, (8, 1, 4, 4)) == {1: MIB, 4: 4 * MIB}
    assert [row["batch"] for row in subject.sweeps] == [1, 4]


def test_the_resident_memory_is_what_a_tensor_takes() -> None:
    # In a process of its own, as it is used: the memory of this one belongs to all tests.
    code = (
        "import torch; from build_scripts import measure_meter\n"
        "meter = measure_meter.CpuMeter(); before = meter.held()\n"
        f"kept = torch.ones(64 * {MIB}, dtype=torch.uint8); first = meter.peak() - before\n"
        "del kept; meter.held()\n"  # the peak begins anew
        "print(first, meter.peak() - before)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = (int(text) for text in ran.stdout.split())
    assert first == pytest.approx(64 * MIB, abs=4 * MIB)
    assert second < 8 * MIB


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="ended with status 2"):
        measure.subject("kv", "cpu", "no-such-plan")


def test_trying_it_on_the_cpu_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "SUBJECTS", ("kv",))  # the others take seconds to import
    assert measure.main(["--device", "cpu", "--out", str(tmp_path)]) == 0
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
    assert measure_taken.taken(gpu(processes=before), gpu(processes=now), pid=42) == wanted


def test_where_the_driver_tells_no_processes_the_card_has_grown() -> None:
    before, now = gpu(free_gib=24), gpu(free_gib=23)
    assert measure_taken.taken(before, now, pid=42) == 2**30
    unified = [dataclasses.replace(one, unified=True) for one in (before, now)]
    assert measure_taken.taken(*unified, pid=42) is None  # anybody's memory

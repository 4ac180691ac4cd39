"""What is measured of networks, on the CPU: no test measures a card."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from build_scripts.measure import networks
from build_scripts.memory import shapes
from build_scripts.plans import plan

MIB = 2**20


def test_the_networks_are_those_that_the_ledger_counts() -> None:
    from build_scripts.measure import speakers  # pyannote takes seconds to import

    with torch.device("meta"):
        base, large = (
            networks.aligner(networks.BASE),
            networks.aligner(networks.LARGE),
        )
    assert _parameters(base) == shapes.ALIGN_BASE.num_parameters
    assert _parameters(large) == shapes.ALIGN_LARGE.num_parameters
    segmentation = speakers.segmentation(10)
    assert _parameters(segmentation) == shapes.PYANNET_PARAMETERS
    wespeaker = speakers.wespeaker()
    assert _parameters(wespeaker) == shapes.WESPEAKER_RESNET34_PARAMETERS
    own = speakers.own_embedding()
    assert _parameters(own) == shapes.SPEAKER_ENCODER_PARAMETERS


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
    found = networks.measured(subject, "cpu", small, networks.TRIAL)
    assert figures <= set(found["figures"])
    for name in figures:
        batch = found["figures"][name].get("batch")
        assert (batch is not None) == name.endswith("working_set"), name
    assert found["error"] == ""
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
    subject = networks.Subject(meter)

    def forward(batch: int) -> None:
        meter.batch = batch
        if batch > 4:
            raise torch.OutOfMemoryError

    assert subject.sweep("it", forward, (8, 1, 4, 4)) == {1: MIB, 4: 4 * MIB}
    assert [row["batch"] for row in subject.sweeps] == [1, 4]

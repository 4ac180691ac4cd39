"""The networks of diarization with random weights, at their published dimensions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

# Before the import: pyannote.audio reports each use to its makers otherwise.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

import torch
from torch import Tensor, nn

from onecard.diarization.embedding import SpeakerEmbedding, SpeakerEncoder

with warnings.catch_warnings():
    # torchcodec is left out on purpose: nothing is decoded here.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34
    from pyannote.audio.models.segmentation import PyanNet


def segmentation(window_s: float) -> nn.Module:
    """At pyannote/segmentation-3.0's settings: three speakers, two at a time."""
    network: Any = PyanNet(
        lstm={"hidden_size": 128, "num_layers": 4, "bidirectional": True, "monolithic": True},
        linear={"hidden_size": 128, "num_layers": 2},
    )
    network.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION, resolution=Resolution.FRAME,
        duration=window_s, classes=["1", "2", "3"], powerset_max_classes=2,
        permutation_invariant=True,
    )  # fmt: skip
    network.build()
    made: nn.Module = network
    return made


def wespeaker() -> nn.Module:
    """At pyannote/wespeaker-voxceleb-resnet34-LM's settings."""
    made: nn.Module = WeSpeakerResNet34(sample_rate=16000, num_channels=1, num_mel_bins=80)
    return made


def own_embedding() -> nn.Module:
    return SpeakerEncoder()


def embedder(network: nn.Module, device: torch.device) -> Callable[[Tensor], object]:
    """A call with waveforms [batch, 1, samples], as the pipeline makes it."""
    if isinstance(network, SpeakerEncoder):
        return SpeakerEmbedding(network, device)
    return lambda waveforms: network(waveforms.to(device)).cpu()

"""PyanNet, pyannote's segmentation network, in plain torch.

Layers and names of tensors are those of pyannote.audio (models/segmentation/PyanNet.py), whose own
class takes seconds of imports that only training needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from asteroid_filterbanks import Encoder, ParamSincFB
from torch import Tensor, nn
from torch.nn import functional

_NUM_FILTERS, _WIDTH = 80, 251  # of the first convolution, which has sinc functions for filters
_CONVOLUTIONS = ((80, 60), (60, 60))  # channels in and out of those after it
_KERNEL, _POOL = 5, 3
_FEATURES = 60


class PyanNet(nn.Module):
    """Scores of who speaks in each frame of a window.

    Args:
        stated: `hyper_parameters` of a checkpoint of pyannote's.
        num_classes: of its output, each with a score of its own.

    Attributes:
        frame_step, frame_size: samples between two frames, and samples that a frame sees.

    Raises:
        ValueError: a network that this one is not.
    """

    def __init__(self, stated: Mapping[str, Any], num_classes: int) -> None:
        super().__init__()
        lstm, linear = dict(stated["lstm"]), stated["linear"]
        if not lstm.pop("monolithic", True) or stated.get("num_channels", 1) != 1:
            raise ValueError(
                f"the segmentation network has the settings `{dict(stated)}`, must have one "
                "channel and one LSTM with all layers; run `make setup`, which converts WhisperX's"
            )
        self.sincnet = SincNet(stated["sincnet"]["stride"], stated["sample_rate"])
        self.lstm = nn.LSTM(_FEATURES, **lstm)
        sizes = [lstm["hidden_size"] * (1 + lstm["bidirectional"])]
        sizes += [linear["hidden_size"]] * linear["num_layers"]
        self.linear = nn.ModuleList(nn.Linear(*size) for size in pairwise(sizes))
        self.classifier = nn.Linear(sizes[-1], num_classes)
        self.activation = nn.Sigmoid()
        self.num_speakers = num_classes
        self.frame_size = self.sincnet.num_samples(1)
        self.frame_step = self.sincnet.num_samples(2) - self.frame_size

    def num_frames(self, num_samples: int) -> int:
        """Frames of a window of at least `frame_size` samples."""
        return 1 + (num_samples - self.frame_size) // self.frame_step

    def forward(self, windows: Tensor) -> Tensor:
        """[windows, 1, samples] -> [windows, frames, classes]"""
        x, _ = self.lstm(self.sincnet(windows).transpose(1, 2))
        for layer in self.linear:
            x = functional.leaky_relu(layer(x))
        scores: Tensor = self.activation(self.classifier(x))
        return scores


class SincNet(nn.Module):
    """Three convolutions, each pooled and normalised: samples -> features, 60 a frame."""

    def __init__(self, stride: int, sample_rate: int) -> None:
        super().__init__()
        self.stride = stride
        filters = ParamSincFB(
            _NUM_FILTERS, _WIDTH, stride=stride, sample_rate=sample_rate, min_low_hz=50,
            min_band_hz=50,
        )  # fmt: skip
        later = [nn.Conv1d(*channels, _KERNEL) for channels in _CONVOLUTIONS]
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([Encoder(filters), *later])
        self.pool1d = nn.ModuleList(nn.MaxPool1d(_POOL) for _ in self.conv1d)
        channels = (_NUM_FILTERS, *(out for _, out in _CONVOLUTIONS))
        self.norm1d = nn.ModuleList(nn.InstanceNorm1d(count, affine=True) for count in channels)

    def filters(self) -> Tensor:
        """[filters, 1, samples] of the first convolution."""
        first: Any = self.conv1d[0]
        found: Tensor = first.filterbank.filters()
        return found

    def num_samples(self, num_frames: int) -> int:
        """What that many frames see."""
        for width, stride in reversed([(_WIDTH, self.stride), *[(_KERNEL, 1)] * 2]):
            num_frames = _POOL * num_frames
            num_frames = width + (num_frames - 1) * stride
        return num_frames

    def forward(self, windows: Tensor) -> Tensor:
        """[windows, 1, samples] -> [windows, features, frames]"""
        x: Tensor = self.wav_norm1d(windows)
        for index, convolution in enumerate(self.conv1d):
            x = convolution(x)
            x = torch.abs(x) if index == 0 else x
            x = functional.leaky_relu(self.norm1d[index](self.pool1d[index](x)))
        return x

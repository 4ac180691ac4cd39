"""PyanNet over overlapping windows of a clip, on the CPU: what windows share is computed once.

With windows that start every tenth of their length, each sample goes through the first convolution
ten times. Before it comes only a normalisation, which differs from window to window by a factor and
an offset; both pass through a convolution, so it runs once over the clip's samples as they are, and
each window's factor and offset are applied to what comes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from onecard.networks.compiled import Compiled
from onecard.networks.pyannet import PyanNet, SincNet

Array = npt.NDArray[np.float32]

# Batches whose features are held at a time, 70 kB a window.
_GROUP = 4
# Windows that go through the convolutions together, which are given 2.6 MB a window and need as
# much again; the LSTM, to which a window is little, has whole batches.
_PART = 4


class SlidingPyanNet:
    """A loaded PyanNet.

    Args:
        window, step: samples; the step is a multiple of the first convolution's stride.
        precision: of the LSTM, `float32` or `bfloat16`. The convolutions stay in float32: with
            bfloat16 samples, 3 % of frames were seen to change sides.
        num_threads: batches at the same time.

    Attributes:
        precision: the one in use, as `compiled.available` says.
    """

    def __init__(
        self, model: PyanNet, window: int, step: int, *, precision: str, num_threads: int
    ) -> None:
        self._window, self._step = window, step
        self._sinc = _Sinc(model.sincnet)
        if step % self._sinc.stride:
            raise ValueError(f"step is {step} samples, must be a multiple of {self._sinc.stride}")
        silence = np.zeros(window, np.float32)
        windows, scale, shift = self._shared(silence)
        features = _Features(model.sincnet)
        examples = tuple(map(torch.from_numpy, (windows, scale, shift)))
        with torch.inference_mode():
            example = features(*examples)
        self._features = Compiled(
            features, examples, [(-1, *example.shape[1:]) for example in examples],
            precision="float32", num_threads=num_threads,
        )  # fmt: skip
        self._speakers = Compiled(
            _Speakers(model), (example,), [(-1, *example.shape[1:])],
            precision=precision, num_threads=num_threads,
        )  # fmt: skip
        self.precision = self._speakers.precision

    def __call__(self, spans: Iterable[Array]) -> list[Array]:
        """Scores of the windows of each span.

        Args:
            spans: [samples] each, whole windows: window + k * step.

        Returns:
            [windows, frames, speakers] in [0, 1] for each span, in order.
        """
        scores: list[Array] = []
        spans = iter(spans)
        while group := [self._parts(span) for span in islice(spans, _GROUP)]:
            features = iter(self._features(map(self._shared, chain.from_iterable(group))))
            scores += self._speakers(
                (np.concatenate(list(islice(features, len(parts)))),) for parts in group
            )
        return scores

    def _parts(self, span: Array) -> list[Array]:
        """The spans of at most _PART windows each."""
        rest, step = self._window - self._step, _PART * self._step
        return [span[start : start + step + rest] for start in range(0, len(span) - rest, step)]

    def _shared(self, span: Array) -> tuple[Array, Array, Array]:
        """Filtered windows [windows, 80, frames], their factors and their offsets."""
        with torch.inference_mode():
            filtered = self._sinc(torch.from_numpy(span)).numpy()
            num_frames = (self._window - self._sinc.width) // self._sinc.stride + 1
            hop = self._step // self._sinc.stride
            windows = np.lib.stride_tricks.sliding_window_view(filtered, num_frames, axis=1)
            scale, shift = self._sinc.normalisation(
                torch.from_numpy(span).unfold(0, self._window, self._step)
            )
        cut = windows[:, ::hop].transpose(1, 0, 2).copy()
        return cut, scale.numpy(), shift.numpy()


class _Sinc(nn.Module):
    """The first convolution, and the normalisation of its input as one of its output."""

    def __init__(self, sincnet: SincNet) -> None:
        super().__init__()
        self.norm = sincnet.wav_norm1d
        self.stride = int(sincnet.stride)
        with torch.inference_mode():
            self.filters: Tensor = sincnet.filters()  # [80, 1, 251]
        self.width = self.filters.shape[-1]

    def forward(self, samples: Tensor) -> Tensor:
        """[samples] -> [80, frames]"""
        return functional.conv1d(samples[None, None], self.filters, stride=self.stride)[0]

    def normalisation(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """[windows, samples] -> factors [windows, 1, 1] and offsets [windows, 80, 1]."""
        variance, mean = torch.var_mean(windows, dim=1, correction=0)
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        offset = self.norm.bias - mean * scale
        return scale[:, None, None], offset[:, None, None] * self.filters.sum(dim=-1)[None]


class _Features(nn.Module):
    """The rest of SincNet: filtered windows -> [windows, frames, features]."""

    def __init__(self, sincnet: SincNet) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Identity(), *sincnet.conv1d[1:]])
        self.pools, self.norms = sincnet.pool1d, sincnet.norm1d

    def forward(self, windows: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = torch.abs(windows * scale + shift)
        for convolution, pool, norm in zip(self.convolutions, self.pools, self.norms, strict=True):
            x = functional.leaky_relu(norm(pool(convolution(x))))
        return x.transpose(1, 2)


class _Speakers(nn.Module):
    """The layers after SincNet: features -> [windows, frames, speakers]."""

    def __init__(self, model: PyanNet) -> None:
        super().__init__()
        self.lstm, self.linear = model.lstm, model.linear
        self.classifier, self.activation = model.classifier, model.activation

    def forward(self, features: Tensor) -> Tensor:
        x, _ = self.lstm(features)
        for layer in self.linear:
            x = functional.leaky_relu(layer(x))
        scores: Tensor = self.activation(self.classifier(x))
        return scores

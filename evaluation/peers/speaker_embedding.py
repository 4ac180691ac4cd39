"""Resemblyzer's network as a pyannote.audio inference in plain torch, for pyannote's own pipeline.

It does what `onecard.diarization.embedding` does, with the same weights and no code in common: what
makes onecard's faster does not make the peer's faster, and each checks the other's results.

Sources: Wan et al., "Generalized End-to-End Loss for Speaker Verification" (arXiv:1710.10467);
mel settings, partial utterances and loudness are github.com/resemble-ai/Resemblyzer's (hparams.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchaudio
from pyannote.audio.core.inference import BaseInference
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

TARGET_RMS = 10 ** (-30 / 20)  # quieter speech is raised to it
SILENCE_RMS = 1e-6


class SpeakerEmbedding(BaseInference):
    """What SpeakerDiarization asks of an embedding: masked waveforms to unit vectors.

    Args:
        directory: `config.json` and `model.safetensors`, as setup leaves them.
    """

    metric = "cosine"

    def __init__(self, directory: Path) -> None:
        facts = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        self.sample_rate: int = facts["sample_rate"]
        self.dimension: int = facts["embedding_size"]
        self._window = facts["window_ms"] * self.sample_rate // 1000
        self._hop = facts["hop_ms"] * self.sample_rate // 1000
        self._partial: int = facts["partial_frames"]
        # Below a quarter of a partial a vector is mostly noise.
        self.min_num_samples = self._partial // 4 * self._hop
        self._lstm = nn.LSTM(
            facts["num_mels"], facts["hidden_size"], facts["num_layers"], batch_first=True
        )
        self._linear = nn.Linear(facts["hidden_size"], self.dimension)
        tensors = load_file(directory / "model.safetensors")
        for name, module in (("lstm", self._lstm), ("linear", self._linear)):
            keys = {key: f"{name}.{key}" for key in module.state_dict()}
            module.load_state_dict({key: tensors[full] for key, full in keys.items()})
        self._mels = torchaudio.functional.melscale_fbanks(
            self._window // 2 + 1, 0.0, self.sample_rate / 2, facts["num_mels"], self.sample_rate,
            norm="slaney", mel_scale="slaney",
        )  # fmt: skip
        self._hann = torch.hann_window(self._window)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> SpeakerEmbedding:
        """Where it is already. Raises ValueError for another device."""
        if device.type != "cpu":
            raise ValueError(f"the device is `{device}`, this embedding runs on `cpu`")
        return self

    @torch.inference_mode()
    def __call__(self, waveforms: Tensor, masks: Tensor | None = None) -> npt.NDArray[np.float32]:
        """(batch, 1, num_samples), (batch, num_frames) of 0 and 1 -> (batch, dimension).

        A row is NaN where less than `min_num_samples` of speech is left.
        """
        if masks is None:
            masks = torch.ones(len(waveforms), 1)
        found = np.full((len(waveforms), self.dimension), np.nan, np.float32)
        # Most local speakers of a window are silent.
        rows = torch.nonzero(masks.any(dim=1))[:, 0]
        if not len(rows):
            return found
        samples, kept = waveforms[rows, 0], masks[rows]
        mels = self._mel(samples * _gain(samples, _resampled(kept, samples.shape[1])))
        frames = _resampled(kept, mels.shape[1])
        partials = [self._partials(mel[keep]) for mel, keep in zip(mels, frames, strict=True)]
        vectors = self._encode(torch.cat(partials))
        owners: tuple[Tensor, ...] = torch.split(vectors, [len(one) for one in partials])
        for row, own in zip(rows.tolist(), owners, strict=True):
            if len(own) and own.any():
                found[row] = functional.normalize(own.mean(dim=0), dim=0).numpy()
        return found

    def _mel(self, samples: Tensor) -> Tensor:
        """Power, no logarithm: (rows, num_samples) -> (rows, num_frames, num_mels)."""
        spectrum = torch.stft(
            samples, self._window, self._hop, window=self._hann, center=True, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        power: Tensor = spectrum.abs().square().transpose(1, 2)
        found: Tensor = power @ self._mels
        return found

    def _partials(self, mel: Tensor) -> Tensor:
        """Half-overlapping cuts of what is left: (num_frames, num_mels) -> (n, partial, num_mels).

        Speech that is too short for one is repeated.
        """
        size, step = self._partial, self._partial // 2
        if len(mel) < size // 4:
            return mel.new_empty(0, size, mel.shape[1])
        if len(mel) < size:
            mel = mel.repeat(-(-size // len(mel)), 1)[:size]
        starts = list(range(0, len(mel) - size + 1, step))
        if len(mel) - size - starts[-1] >= step // 2:
            starts.append(len(mel) - size)
        return torch.stack([mel[start : start + size] for start in starts])

    def _encode(self, partials: Tensor) -> Tensor:
        """(n, partial, num_mels) -> (n, dimension), of length 1."""
        if not len(partials):
            return partials.new_empty(0, self.dimension)
        hidden: Any = self._lstm(partials)[1][0]
        return functional.normalize(torch.relu(self._linear(hidden[-1])), dim=1)


def _resampled(masks: Tensor, length: int) -> Tensor:
    """(rows, num_frames) -> (rows, length), boolean, by the nearest frame."""
    return functional.interpolate(masks[:, None].float(), size=length, mode="nearest")[:, 0] > 0.5


def _gain(samples: Tensor, kept: Tensor) -> Tensor:
    """What raises each row's kept samples to TARGET_RMS; 1 where they are louder."""
    energy = (samples.square() * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
    return (TARGET_RMS / energy.sqrt().clamp(min=SILENCE_RMS)).clamp(min=1.0)[:, None]

"""Speaker embeddings: Resemblyzer's GE2E network on masked windows.

Sources: Wan et al., "Generalized End-to-End Loss for Speaker Verification" (arXiv:1710.10467);
network, mel settings, partial utterances and loudness are those the weights were trained with
(github.com/resemble-ai/Resemblyzer, hparams.py, Apache-2.0).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torchaudio
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from onecard import manifest
from onecard.audio import SAMPLE_RATE
from onecard.networks.compiled import Compiled

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
NUM_MELS = 40
HIDDEN_SIZE = 256
NUM_LAYERS = 3
DIMENSION = 256

PARTIAL_FRAMES = 160  # 1.6 s: the length that the network was trained on
PARTIAL_STEP = PARTIAL_FRAMES // 2
# Shorter speech gets no embedding: below a quarter of a partial its vector is mostly noise.
MIN_FRAMES = PARTIAL_FRAMES // 4
MAX_PARTIALS = 16  # at a time on a CPU: more take memory and little less time each
TARGET_RMS = 10 ** (-30 / 20)  # -30 dBFS; quieter speech is raised to it, louder is left alone
SILENCE_RMS = 1e-6

ARCHITECTURE = {  # as `config.json` next to the weights states it
    "architecture": "GE2E",
    "sample_rate": SAMPLE_RATE,
    "window_ms": WINDOW_SAMPLES * 1000 // SAMPLE_RATE,
    "hop_ms": HOP_SAMPLES * 1000 // SAMPLE_RATE,
    "partial_frames": PARTIAL_FRAMES,
    "num_mels": NUM_MELS,
    "hidden_size": HIDDEN_SIZE,
    "num_layers": NUM_LAYERS,
    "embedding_size": DIMENSION,
}


class SpeakerEncoder(nn.Module):
    """Three LSTM layers, the last hidden state projected, rectified and scaled to length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(NUM_MELS, HIDDEN_SIZE, NUM_LAYERS, batch_first=True)
        self.linear = nn.Linear(HIDDEN_SIZE, DIMENSION)

    def forward(self, mels: Tensor) -> Tensor:
        """(num_partials, PARTIAL_FRAMES, NUM_MELS) -> (num_partials, DIMENSION)"""
        _, (hidden, _) = self.lstm(mels)
        return functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


class SpeakerEmbedding:
    """`SpeakerEncoder` of what masks leave of waveforms.

    An embedding is the mean over half-overlapping partial utterances of 1.6 s, cut from the
    frames that the mask keeps.
    """

    sample_rate = SAMPLE_RATE
    dimension = DIMENSION
    min_num_samples = MIN_FRAMES * HOP_SAMPLES

    def __init__(self, encoder: SpeakerEncoder, device: torch.device | None = None) -> None:
        self.encoder = encoder.eval()
        self._compiled: Compiled | None = None
        self.mel_filters = torchaudio.functional.melscale_fbanks(
            WINDOW_SAMPLES // 2 + 1,
            0.0,
            SAMPLE_RATE / 2,
            NUM_MELS,
            SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )  # (num_bins, NUM_MELS)
        self.window = torch.hann_window(WINDOW_SAMPLES)
        self.to(device or torch.device("cpu"))

    def to(self, device: torch.device) -> SpeakerEmbedding:
        self.device = device
        self.encoder.to(device)
        self.mel_filters = self.mel_filters.to(device)
        self.window = self.window.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, waveforms: Tensor, masks: Tensor | None = None) -> npt.NDArray[np.float32]:
        """One embedding for each masked waveform.

        Args:
            waveforms: (batch, 1, num_samples) at 16 kHz, -1..1.
            masks: (batch, num_frames) of 0 and 1, any frame rate; None keeps everything.

        Returns:
            (batch, DIMENSION), rows of length 1; a row is NaN where less than
            `min_num_samples` of speech is left.
        """
        batch, _, num_samples = waveforms.shape
        if masks is None:
            masks = torch.ones(batch, 1)
        embeddings = np.full((batch, DIMENSION), np.nan, dtype=np.float32)
        # Most local speakers of a window are silent: their rows cost nothing.
        rows = torch.nonzero(masks.any(dim=1))[:, 0]
        if len(rows) == 0:
            return embeddings
        partials, owners = [], []
        # One by one, which takes half the time: what a row needs then stays in the caches.
        for row in rows.tolist():
            samples = waveforms[row].to(self.device)
            kept = masks[row : row + 1].to(self.device)
            mel = self._mel(samples * _gain(samples, _resampled(kept, num_samples)))[0]
            found = _partials(mel[_resampled(kept, len(mel))[0]])
            partials.append(found)
            owners += [row] * len(found)
        if owners:
            vectors = self._encode(torch.cat(partials))
            _average(vectors, np.array(owners), embeddings)
        return embeddings

    def _encode(self, partials: Tensor) -> npt.NDArray[np.float32]:
        """(num_partials, PARTIAL_FRAMES, NUM_MELS) -> (num_partials, DIMENSION)"""
        if self.device.type != "cpu":
            vectors: Tensor = self.encoder(partials)
            return vectors.cpu().numpy()
        mels = partials.numpy()
        if self._compiled is None:
            self._compiled = Compiled(
                self.encoder, (partials[:1],), [(-1, *mels.shape[1:])],
                precision="float32", num_threads=torch.get_num_threads(),
            )  # fmt: skip
        parts = (mels[i : i + MAX_PARTIALS] for i in range(0, len(mels), MAX_PARTIALS))
        return np.concatenate(self._compiled((part,) for part in parts))

    def _mel(self, samples: Tensor) -> Tensor:
        """Power mel spectrogram, no logarithm: (rows, num_samples) -> (rows, frames, NUM_MELS)."""
        spectrum = torch.stft(
            samples,
            WINDOW_SAMPLES,
            HOP_SAMPLES,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = spectrum.abs().square().transpose(1, 2)  # (rows, frames, num_bins)
        return cast(Tensor, power @ self.mel_filters)


def load(directory: Path | str) -> SpeakerEmbedding:
    """The network in `directory` (`manifest.json`, `config.json`, `model.safetensors`), verified.

    Raises:
        onecard.manifest.ManifestError: a file is missing or is not what the manifest says.
        ValueError: `config.json` describes another network.
        RuntimeError: the tensors are not those of `SpeakerEncoder`.
    """
    manifest.verify(directory)
    found = json.loads((Path(directory) / CONFIG).read_text(encoding="utf-8"))
    if found != ARCHITECTURE:
        raise ValueError(
            f"`{directory}` holds `{found}`, onecard can run `{ARCHITECTURE}`; run `make setup`"
        )
    encoder = SpeakerEncoder()
    wanted = encoder.state_dict().keys()
    # The training file also holds the scale and offset of the loss, which inference has no use for.
    tensors = {k: v for k, v in load_file(Path(directory) / WEIGHTS).items() if k in wanted}
    encoder.load_state_dict(tensors)
    return SpeakerEmbedding(encoder)


def _resampled(masks: Tensor, length: int) -> Tensor:
    """(rows, num_frames) -> (rows, length), boolean, by the nearest frame."""
    return functional.interpolate(masks[:, None].float(), size=length, mode="nearest")[:, 0] > 0.5


def _gain(samples: Tensor, kept: Tensor) -> Tensor:
    """The factor that raises each row's kept samples to TARGET_RMS, 1 where they are louder."""
    energy = (samples.square() * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
    rms = energy.sqrt().clamp(min=SILENCE_RMS)
    return (TARGET_RMS / rms).clamp(min=1.0)[:, None]


def _partials(mel: Tensor) -> Tensor:
    """(frames, NUM_MELS) -> (num_partials, PARTIAL_FRAMES, NUM_MELS); none if it is too short."""
    num_frames = len(mel)
    if num_frames < MIN_FRAMES:
        return mel.new_empty(0, PARTIAL_FRAMES, NUM_MELS)
    if num_frames < PARTIAL_FRAMES:
        # Repeated rather than padded: the network never heard digital silence in training.
        mel = mel.repeat(-(-PARTIAL_FRAMES // num_frames), 1)[:PARTIAL_FRAMES]
        num_frames = PARTIAL_FRAMES
    starts = list(range(0, num_frames - PARTIAL_FRAMES + 1, PARTIAL_STEP))
    uncovered = num_frames - PARTIAL_FRAMES - starts[-1]
    if uncovered >= PARTIAL_STEP // 2:
        starts.append(num_frames - PARTIAL_FRAMES)
    return torch.stack([mel[start : start + PARTIAL_FRAMES] for start in starts])


def _average(
    vectors: npt.NDArray[np.float32],
    owners: npt.NDArray[np.int64],
    embeddings: npt.NDArray[np.float32],
) -> None:
    """Write each owner's mean vector, scaled to length 1, into its row of `embeddings`."""
    for owner in np.unique(owners):
        mean = vectors[owners == owner].mean(axis=0)
        norm = np.linalg.norm(mean)
        if norm > 0:  # the rectified output of digital silence can be all zeros
            embeddings[owner] = mean / norm

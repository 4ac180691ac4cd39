"""A wav2vec2 network for CTC: samples to log-probabilities of characters, batched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import Wav2Vec2ForCTC

from onecard import manifest
from onecard.audio import Pcm, to_float
from onecard.networks import devices
from onecard.networks.compiled import Compiled

# The shortest input that makes one frame; what is shorter is padded (WhisperX does the same).
MIN_SAMPLES = 400
_BLANKS = ("[pad]", "<pad>")

Emission = npt.NDArray[np.float32]


class Acoustic:
    """One language's network and its characters.

    Attributes:
        labels: lower-case character -> label.
        blank: the label of no character.
    """

    def __init__(
        self, network: Any, labels: dict[str, int], device: str, dtype: str, num_threads: int
    ) -> None:
        self.labels = labels
        self.blank = next((code for name, code in labels.items() if name in _BLANKS), 0)
        self._device = devices.device(device)
        network = network.eval()
        self._compiled: Compiled | None = None
        self._dtype: torch.dtype = getattr(torch, dtype)
        if self._device.type == "cpu":
            self._compiled = Compiled(
                _Logits(network), (torch.zeros(1, 2 * MIN_SAMPLES),), [(1, -1)],
                precision=dtype, num_threads=num_threads,
            )  # fmt: skip
        else:
            self._network = network.to(self._device, self._dtype)
        # A group norm takes its statistics over time, so padding would change every frame.
        self._is_padding_invariant = network.config.feat_extract_norm == "layer"

    @classmethod
    def load(cls, directory: Path, device: str, dtype: str, num_threads: int) -> Acoustic:
        """Load the network of a directory with config.json, vocab.json and model.safetensors.

        Raises:
            ManifestError: a file is missing or damaged.
        """
        manifest.verify(directory)
        network = Wav2Vec2ForCTC.from_pretrained(
            directory, local_files_only=True, use_safetensors=True
        )
        vocabulary = json.loads((directory / "vocab.json").read_text(encoding="utf-8"))
        labels = {name.lower(): int(code) for name, code in vocabulary.items()}
        return cls(network, labels, device, dtype, num_threads)

    def emissions(self, segments: Sequence[Pcm], batch_size: int) -> list[Emission]:
        """Log-probabilities [T, labels] of each segment [N], in order."""
        if self._compiled is not None:
            return self._alone(segments)
        found: dict[int, Emission] = {}
        for batch in self._batches(segments, batch_size):
            samples = [_samples(segments[i]) for i in batch]
            found.update(zip(batch, self._forward(samples), strict=True))
        return [found[i] for i in range(len(segments))]

    def _alone(self, segments: Sequence[Pcm]) -> list[Emission]:
        """Each segment on a thread of its own: a processor gains nothing from padded batches."""
        assert self._compiled is not None
        # The longest first, so that no thread is left with one while the others have nothing.
        order = sorted(range(len(segments)), key=lambda i: -len(segments[i]))
        found = self._compiled((_samples(segments[i])[None],) for i in order)
        logits = dict(zip(order, found, strict=True))
        return [_log_softmax(logits[i][0]) for i in range(len(segments))]

    def _batches(self, segments: Sequence[Pcm], batch_size: int) -> Iterator[list[int]]:
        """Indices that go together: of similar length, of the same where padding would harm."""
        batch: list[int] = []
        for i in sorted(range(len(segments)), key=lambda i: len(segments[i])):
            is_alike = self._is_padding_invariant or (
                bool(batch) and len(segments[i]) == len(segments[batch[0]])
            )
            if batch and (len(batch) == batch_size or not is_alike):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _forward(self, samples: list[npt.NDArray[np.float32]]) -> list[Emission]:
        lengths = torch.tensor([len(pcm) for pcm in samples])
        padded = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(pcm) for pcm in samples], batch_first=True
        )
        inputs: dict[str, Any] = {"input_values": padded.to(self._device, self._dtype)}
        if lengths.min() < lengths.max():
            mask = torch.arange(padded.shape[1])[None, :] < lengths[:, None]
            inputs["attention_mask"] = mask.long().to(self._device)
        with torch.inference_mode():
            logits = self._network(**inputs).logits.float()
            found = torch.log_softmax(logits, dim=-1).cpu().numpy()
        num_frames = self._network._get_feat_extract_output_lengths(lengths)
        return [one[: int(count)] for one, count in zip(found, num_frames, strict=True)]


class _Logits(torch.nn.Module):
    """[1, samples] -> [1, T, labels]"""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples: torch.Tensor) -> Any:
        return self.network(samples).logits


def _log_softmax(logits: Emission) -> Emission:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Emission = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def _samples(pcm: Pcm) -> npt.NDArray[np.float32]:
    return np.pad(to_float(pcm), (0, max(0, MIN_SAMPLES - len(pcm))))

"""Who spoke when, by the plan's own networks: the steps of pyannote.audio's SpeakerDiarization.

Their order is that of its pipelines/speaker_diarization.py, and tests hold the turns against it.
It is not imported here: it takes seconds of a processor, most of them for what only training needs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from onecard import manifest
from onecard.audio import Pcm, length, needed
from onecard.audio.windows import SEGMENTATION
from onecard.detection import segmentation
from onecard.detection.segmentation import Scores
from onecard.diarization import clustering, embedding, reconstruction
from onecard.diarization.clustering import Agglomerative, Bounds
from onecard.diarization.config import Config
from onecard.diarization.turns import Speakers
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions

Embeddings = npt.NDArray[np.float32]


class NetworkPipeline:
    """A segmentation network, an embedding network, and clustering between them.

    Attributes:
        about: for TURNS, which models and which clustering these are.
    """

    takes_scores = True

    def __init__(self, config: Config) -> None:
        self._config = config
        self._network = segmentation.load(config.segmentation)
        self._frames = segmentation.frames(self._network)
        self._embedding = embedding.load(config.embedding)
        self._cluster = Agglomerative(
            config.clustering_method, config.clustering_threshold, config.min_cluster_size,
            config.max_clustered_embeddings,
        )  # fmt: skip
        models = {name: Path(getattr(config, name)) for name in ("segmentation", "embedding")}
        self.about: dict[str, Any] = {
            "clustering": clustering.NAME,
            "backend": f"torch {torch.__version__}",
            **{name: manifest.read(path).model for name, path in models.items()},
        }
        self.to(torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        self._device = device
        self._network.to(device)
        self._embedding.to(device)

    def verify(self, scores: Scores, embeddings: Embeddings, num_samples: int) -> None:
        """Raises InvalidRequest where they cannot belong to `num_samples` of audio."""
        num_speakers = self._network.num_speakers
        if len(scores):
            num_frames = self._network.num_frames(SEGMENTATION.size)
            SEGMENTATION.verify("SCORES", scores, num_samples, num_frames, num_speakers)
        if len(embeddings):
            if not len(scores):
                raise InvalidRequest("EMBEDDINGS came without SCORES; send both or neither")
            dimension = self._embedding.dimension
            SEGMENTATION.verify("EMBEDDINGS", embeddings, num_samples, num_speakers, dimension)

    def embed(self, pcm: Pcm, scores: Scores) -> Embeddings:
        """[windows, speakers, dimension] of every local speaker, NaN where one is silent.

        Each window's depend on no other window, so those of a recording are those of its parts.
        """
        self.verify(scores, np.zeros((0, 0, 0), np.float32), len(pcm))
        return self._embedded(pcm, self._active(scores))

    def speakers(
        self, pcm: Pcm | int, scores: Scores, embeddings: Embeddings, options: TranscribeOptions
    ) -> Speakers:
        """Who speaks when.

        Args:
            pcm: [num_samples]; their number alone where the other two are given.
            scores, embeddings: of the same recording; no windows: they are computed.

        Raises:
            InvalidRequest: they are of another recording, or no `pcm` where it is needed.
        """
        self.verify(scores, embeddings, length(pcm))
        if not len(embeddings):
            pcm = needed(pcm)
            scores = scores if len(scores) else self._scores(pcm)
        active = self._active(scores)
        count = reconstruction.counted(active, self._frames)
        if not count.any():
            return Speakers([], [], {})
        if not len(embeddings):
            embeddings = self._embedded(needed(pcm), active)
        exact = options.num_speakers
        bounds = Bounds(
            exact or options.min_speakers or 1, exact or options.max_speakers or math.inf
        )
        clusters, centroids = self._cluster(embeddings, active, bounds)
        clusters[~active.any(axis=1)] = reconstruction.NO_CLUSTER
        # Where windows disagree, more may be counted than there are.
        count = np.minimum(count, bounds.most).astype(np.int64)
        tracks, exclusive = (
            self._tracks(scores, clusters, most) for most in (count, np.minimum(count, 1))
        )
        nobody = np.zeros(centroids.shape[1], centroids.dtype)
        vectors: dict[Hashable, npt.NDArray[Any]] = {
            label: centroids[label] if label < len(centroids) else nobody
            for label in {label for _, _, label in tracks}
        }
        return Speakers(tracks, exclusive, vectors)

    def _active(self, scores: Scores) -> npt.NDArray[np.bool_]:
        return reconstruction.binarized(scores, self._config.segmentation_threshold)

    def _tracks(
        self, scores: Scores, clusters: npt.NDArray[Any], count: reconstruction.Counts
    ) -> list[reconstruction.Track]:
        speaking = reconstruction.reconstruct(scores, clusters, count, self._frames)
        return reconstruction.tracks(speaking, self._frames, self._config.min_duration_off_s)

    @torch.inference_mode()
    def _scores(self, pcm: Pcm) -> Scores:
        """[windows, frames, speakers], where `detect_speech` had no use for them."""
        found = []
        for part in SEGMENTATION.parts(len(pcm), self._config.segmentation_batch_size):
            windows = torch.from_numpy(segmentation.span(pcm, *part))
            windows = windows.unfold(0, SEGMENTATION.size, SEGMENTATION.step)[:, None]
            found.append(self._network(windows.to(self._device)).cpu().numpy())
        return np.concatenate(found)

    def _embedded(self, pcm: Pcm, active: npt.NDArray[np.bool_]) -> Embeddings:
        num_windows, num_frames, num_speakers = active.shape
        masks = torch.from_numpy(self._masks(active)).transpose(1, 2).reshape(-1, num_frames)
        found = []
        for first in range(0, len(masks), self._config.embedding_batch_size):
            some = masks[first : first + self._config.embedding_batch_size]
            windows = [
                segmentation.span(pcm, row // num_speakers, row // num_speakers + 1)
                for row in range(first, first + len(some))
            ]
            found.append(self._embedding(torch.from_numpy(np.stack(windows))[:, None], some))
        return np.vstack(found).reshape(num_windows, num_speakers, -1)

    def _masks(self, active: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """[windows, frames, speakers]: where each speaks alone; where that is little, at all."""
        num_frames = active.shape[1]
        least = math.ceil(num_frames * self._embedding.min_num_samples / SEGMENTATION.size)
        alone = active & (active.sum(axis=2, dtype=np.uint8, keepdims=True) < 2)
        is_enough = alone.sum(axis=1, keepdims=True) > least
        return np.where(is_enough, alone, active).astype(np.float32)

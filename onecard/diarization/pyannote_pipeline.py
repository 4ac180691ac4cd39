"""Who spoke when, by a pyannote pipeline from a directory.

Only who has such a directory imports this: pyannote.audio takes seconds of a processor.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before the import: pyannote.audio reports each use to its makers otherwise.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

import numpy as np
import numpy.typing as npt
import torch

from onecard import manifest
from onecard.audio import SAMPLE_RATE, Pcm, needed, to_float
from onecard.diarization import linkage, local_pipeline
from onecard.diarization.clustering import spread
from onecard.diarization.config import Config
from onecard.diarization.turns import Speakers
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions

with warnings.catch_warnings():
    # torchcodec is left out on purpose: pyannote is handed waveforms, not files.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio.pipelines import clustering
    from pyannote.audio.telemetry import metrics as telemetry

Array = npt.NDArray[Any]
Filtered = tuple[Array, Array, Array]

# Of every clustering of pyannote's that is a tree: it has no other place to say whose.
clustering.linkage = linkage.linkage


class PyannotePipeline:
    """The pipeline of a directory, with clustering that is bounded for long recordings.

    Attributes:
        about: for TURNS, which pipeline and which clustering these are.
    """

    takes_scores = False

    def __init__(self, directory: Path, config: Config) -> None:
        telemetry.set_telemetry_metrics(False)
        if telemetry.is_metrics_enabled():
            raise RuntimeError("pyannote's telemetry is on; set PYANNOTE_METRICS_ENABLED=0")
        self.pyannotes = local_pipeline.load(directory)
        self.pyannotes.segmentation_batch_size = config.segmentation_batch_size
        self.pyannotes.embedding_batch_size = config.embedding_batch_size
        bound(self.pyannotes.clustering, config.max_clustered_embeddings)
        is_built = (directory / manifest.FILENAME).is_file()
        self.about: dict[str, Any] = {
            "clustering": self.pyannotes.klustering,
            "backend": f"pyannote.audio {version('pyannote.audio')}",
            "pipeline": manifest.read(directory).model if is_built else directory.name,
        }

    def to(self, device: torch.device) -> None:
        self.pyannotes.to(device)

    def embed(self, pcm: Pcm, scores: Array) -> Array:
        """None: its networks have other windows than `detect_speech`."""
        return np.zeros((0, 0, 0), np.float32)

    def speakers(
        self, pcm: Pcm | int, scores: Array, embeddings: Array, options: TranscribeOptions
    ) -> Speakers:
        """Who speaks when in [num_samples]; the scores and embeddings of others are not used.

        Raises:
            InvalidRequest: numbers of speakers that pyannote refuses, or no `pcm`.
        """
        bounds = {
            "num_speakers": options.num_speakers,
            "min_speakers": options.min_speakers,
            "max_speakers": options.max_speakers,
        }
        try:
            exact, _, _ = self.pyannotes.set_num_speakers(**bounds)
        except ValueError as error:
            raise InvalidRequest(f"pyannote refuses the numbers of speakers: {error}") from error
        if exact is None and self.pyannotes._expects_num_speakers:
            raise InvalidRequest(
                f"`num_speakers` is not set, and the server's {self.pyannotes.klustering} needs "
                "it; set `num_speakers`"
            )
        waveform = torch.from_numpy(to_float(needed(pcm)))[None]
        file = {"waveform": waveform, "sample_rate": SAMPLE_RATE, "uri": "audio"}
        with warnings.catch_warnings():
            # Means over nothing on silence, and bounds not met, which the document reports.
            warnings.simplefilter("ignore")
            output = self.pyannotes(file, preload=False, **bounds)
        return speakers(output)


def speakers(output: Any) -> Speakers:
    """pyannote's DiarizeOutput as any pipeline's."""
    labels, vectors = output.speaker_diarization.labels(), output.speaker_embeddings
    return Speakers(
        _tracks(output.speaker_diarization),
        _tracks(output.exclusive_speaker_diarization),
        {} if vectors is None else dict(zip(labels, vectors, strict=True)),
    )


def _tracks(annotation: Any) -> list[tuple[float, float, str]]:
    tracks = annotation.itertracks(yield_label=True)
    return [(segment.start, segment.end, label) for segment, _, label in tracks]


def bound(any_clustering: Any, max_embeddings: int) -> None:
    """Let a clustering of pyannote's see at most `max_embeddings`, spread over the recording."""
    filtered: Callable[..., Filtered] = any_clustering.filter_embeddings

    def filter_embeddings(*args: Any, **kwargs: Any) -> Filtered:
        vectors, windows, speakers = filtered(*args, **kwargs)
        kept = spread(len(vectors), max_embeddings)
        return vectors[kept], windows[kept], speakers[kept]

    any_clustering.filter_embeddings = filter_embeddings

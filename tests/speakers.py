"""Speaker turns as pyannote scores them, and pyannote's own pipeline to be held against.

It knows the references of .samples/ and nothing of the server.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from pyannote.core import Annotation, Segment, Timeline

from build_scripts import plan, serving
from onecard import audio, diarization, embedding, segmentation


def annotation(turns: Iterable[Mapping[str, Any]]) -> Annotation:
    found = Annotation()
    for i, turn in enumerate(turns):
        found[Segment(turn["start"], turn["end"]), i] = turn["speaker"]
    return found


def whole(num_samples: int) -> Timeline:
    """All of a clip is scored."""
    return Timeline([Segment(0.0, num_samples / audio.SAMPLE_RATE)])


class Pyannote:
    """SpeakerDiarization as its authors wrote it, on the plan's weights and parameters.

    Scores are in full precision and clustering is its own.
    """

    def __init__(self) -> None:
        asked = serving.models(plan.load("cpu"))["diarize"].parameters
        network = segmentation.load(asked["segmentation"])
        self.pipeline = diarization.SpeakerDiarization(
            segmentation=network,
            embedding=network,  # replaced below: it takes pyannote's own models alone
            plda=diarization.PLDA.__new__(diarization.PLDA),
            clustering="AgglomerativeClustering",
            embedding_exclude_overlap=True,
            segmentation_batch_size=int(asked["segmentation_batch_size"]),
            embedding_batch_size=int(asked["embedding_batch_size"]),
        )
        self.pipeline._embedding = embedding.load(asked["embedding"])
        self.pipeline._audio = diarization.Audio(sample_rate=audio.SAMPLE_RATE, mono="downmix")
        self.pipeline.instantiate({
            "segmentation": {
                "threshold": float(asked["segmentation_threshold"]),
                "min_duration_off": float(asked["min_duration_off_s"]),
            },
            "clustering": {
                "method": asked["clustering_method"],
                "threshold": float(asked["clustering_threshold"]),
                "min_cluster_size": int(asked["min_cluster_size"]),
            },
        })  # fmt: skip

    def __call__(self, pcm: np.ndarray) -> Annotation:
        """Turns of [N] int16 samples at 16 kHz."""
        waveform = torch.from_numpy(audio.to_float(pcm))[None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self.pipeline({"waveform": waveform, "sample_rate": audio.SAMPLE_RATE})
        return output.speaker_diarization

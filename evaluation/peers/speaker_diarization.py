"""pyannote's own SpeakerDiarization on the weights and parameters of the CPU plan.

The pipeline is put together from local files and not changed: it computes all scores, in full
precision, and clusters. It runs in either environment, and no code of onecard's models runs in it;
onecard's guard against pickled code is around the loading.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

os.environ["PYANNOTE_METRICS_ENABLED"] = "0"  # before the import, or each use is reported

import whisperx

from build_scripts import paths
from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from onecard.diarization.local_pipeline import weights_only

with warnings.catch_warnings():
    # torchcodec is left out on purpose: pyannote is handed waveforms, not files.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio import Audio, Model
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization

    from evaluation.peers.speaker_embedding import SpeakerEmbedding

# WhisperX's own checkpoint for voice activity; engines/cpu/segmentation is converted from it.
SEGMENTATION = Path(whisperx.__file__).parent / "assets" / "pytorch_model.bin"
BATCH_SIZE = 32  # as in the configuration of pyannote's published pipelines
SAMPLE_RATE = 16_000


def load() -> Any:
    """The pipeline; it takes `{"waveform": (1, num_samples), "sample_rate": ...}`."""
    asked = models.models(resolve("cpu"))["diarize"].parameters
    with weights_only():
        network: Any = Model.from_pretrained(SEGMENTATION)
    pipeline = SpeakerDiarization(
        segmentation=network,
        embedding=network,  # replaced below: it takes pyannote's own models alone
        plda=PLDA.__new__(PLDA),  # loaded even for a clustering that has none: never used
        clustering="AgglomerativeClustering",
        embedding_exclude_overlap=True,
        segmentation_batch_size=BATCH_SIZE,
        embedding_batch_size=BATCH_SIZE,
    )
    pipeline._embedding = SpeakerEmbedding(paths.ROOT / asked["embedding"])
    pipeline._audio = Audio(sample_rate=SAMPLE_RATE, mono="downmix")
    pipeline.instantiate({
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
    return pipeline

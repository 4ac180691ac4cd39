"""Parameters of the model `diarize`."""

from __future__ import annotations

from dataclasses import dataclass

NO_PIPELINE = "none"
PIPELINE_FILE = "config.yaml"  # of a pyannote pipeline, in its directory


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt.

    `pipeline` names a directory with a pyannote pipeline (`config.yaml` and its models, such as a
    copy of speaker-diarization-community-1); where it is `none` the pipeline is put together from
    `segmentation`, `embedding` and the parameters below them. So it is where the directory is
    missing and `pipeline_is_optional`; every answer then has a warning.
    """

    pipeline: str
    pipeline_is_optional: bool
    segmentation: str
    embedding: str
    device: str
    segmentation_batch_size: int
    embedding_batch_size: int
    segmentation_threshold: float  # a local speaker is active above it
    min_duration_off_s: float  # shorter pauses of a speaker are filled
    clustering_method: str
    clustering_threshold: float  # distance of unit vectors, 0..2
    min_cluster_size: int
    max_clustered_embeddings: int  # clustering's time grows at least with its square

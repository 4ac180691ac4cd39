"""Finds who spoke when: by the plan's own networks, or by a pipeline of pyannote's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from onecard.audio import SAMPLE_RATE, length
from onecard.diarization import known, turns
from onecard.diarization.config import NO_PIPELINE, PIPELINE_FILE
from onecard.diarization.config import Config as Config
from onecard.diarization.pipeline import NetworkPipeline
from onecard.diarization.turns import Speakers
from onecard.networks import complex_abs, devices
from onecard.options.transcribe import TranscribeOptions

if TYPE_CHECKING:
    from onecard.diarization.pyannote_pipeline import PyannotePipeline

FALLBACK = (
    "diarization: the plan's pipeline is not in `{directory}`, so speakers are told apart by the "
    "small network of a package; `make engines` fetches it, or says what that needs"
)

Samples = npt.NDArray[np.int16]
Scores = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]
NO_SCORES: Scores = np.zeros((0, 0, 0), np.float32)
NO_EMBEDDINGS: Embeddings = np.zeros((0, 0, 0), np.float32)


class Diarizer:
    """One loaded pipeline; `diarize` serves one request at a time."""

    def __init__(self, config: Config, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        directory = _directory(config)
        is_fallback = directory is None and config.pipeline != NO_PIPELINE
        self.warnings = [FALLBACK.format(directory=config.pipeline)] if is_fallback else []
        self.pipeline = _pipeline(directory, config)
        device = devices.device(config.device)
        complex_abs.bridge_where_broken(device)  # of Kaldi's filter bank and of our own
        self.pipeline.to(device)
        self.max_distance = known.SMALL_NETWORK if directory is None else known.PIPELINE
        self.engine = {**devices.about(device), **self.pipeline.about}

    def embed(self, pcm: Samples, scores: Scores, options: TranscribeOptions) -> Embeddings:
        """Embeddings of the local speakers of every window, for `diarize` of the whole recording.

        Args:
            pcm: (num_samples,) mono at 16 kHz, of a recording or a part of it.
            scores: (num_windows, num_frames, num_speakers) of the same samples.

        Returns:
            (num_windows, num_speakers, dimension), NaN for a speaker who is silent; no windows
            where there is nothing to tell apart, no scores were given or the pipeline is one from
            a directory.

        Raises:
            InvalidRequest: scores of other samples.
        """
        if not self.pipeline.takes_scores or not options.tells_speakers or not len(scores):
            return NO_EMBEDDINGS
        return self.pipeline.embed(pcm, scores)

    def diarize(
        self,
        pcm: Samples | int,
        scores: Scores,
        options: TranscribeOptions,
        embeddings: Embeddings | None = None,
    ) -> dict[str, Any]:
        """The TURNS document of one recording.

        Args:
            pcm: (num_samples,) mono at 16 kHz; their number alone where scores and embeddings say
                enough.
            scores: (num_windows, num_frames, num_speakers) of `detect_speech`; no windows: they
                are computed here.
            embeddings: (num_windows, num_speakers, dimension) of `embed` for these scores.

        Raises:
            InvalidRequest: scores or embeddings of another recording, numbers of speakers that the
                pipeline refuses, known voices of another network, or no `pcm` where it is needed.
        """
        if not options.tells_speakers:
            return turns.not_wanted()
        num_samples = length(pcm)
        if num_samples == 0:
            found, engine = Speakers([], [], {}), self.engine
        else:
            embedded = NO_EMBEDDINGS if embeddings is None else embeddings
            found = self.pipeline.speakers(pcm, scores, embedded, options)
            is_shared = self.pipeline.takes_scores and len(scores)
            engine = {**self.engine, "scores": "shared" if is_shared else "computed"}
        duration_s = num_samples / SAMPLE_RATE
        document = _document(found, duration_s, options, engine, self.max_distance)
        return {**document, "warnings": [*self.warnings, *document["warnings"]]}


def _pipeline(directory: Path | None, config: Config) -> NetworkPipeline | PyannotePipeline:
    if directory is None:
        return NetworkPipeline(config)
    from onecard.diarization.pyannote_pipeline import PyannotePipeline  # it takes seconds to import

    return PyannotePipeline(directory, config)


def _directory(config: Config) -> Path | None:
    """The directory of the pipeline; None for the one made of `segmentation` and `embedding`."""
    if config.pipeline == NO_PIPELINE:
        return None
    directory = Path(config.pipeline)
    is_there = (directory / PIPELINE_FILE).is_file()
    return directory if is_there or not config.pipeline_is_optional else None


def _document(
    speakers: Speakers,
    duration_s: float,
    options: TranscribeOptions,
    engine: dict[str, Any],
    max_distance: float,
) -> dict[str, Any]:
    """The TURNS document."""
    return turns.document(
        turns.from_tracks(speakers.tracks, duration_s),
        turns.one_at_a_time(turns.from_tracks(speakers.exclusive, duration_s)),
        speakers.vectors,
        options,
        engine,
        max_distance,
    )

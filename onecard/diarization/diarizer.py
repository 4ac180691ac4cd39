"""Finds who spoke when, by pyannote.audio's SpeakerDiarization, offline, from local weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from onecard import manifest
from onecard.audio import SAMPLE_RATE, length, needed, to_float
from onecard.audio.windows import SEGMENTATION, STEP_RATIO
from onecard.detection import segmentation
from onecard.diarization import clustering, embedding, known, local_pipeline, reconstruction, turns
from onecard.diarization.reconstruction import WindowScores
from onecard.errors import InvalidRequest
from onecard.networks import complex_abs, devices
from onecard.options.transcribe import TranscribeOptions

with warnings.catch_warnings():
    # torchcodec is left out on purpose: pyannote is handed waveforms, not files.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio import Audio
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.audio.telemetry import metrics as telemetry
    from pyannote.audio.utils.signal import binarize
    from pyannote.core import SlidingWindow, SlidingWindowFeature

NO_PIPELINE = "none"
FALLBACK = (
    "diarization: the plan's pipeline is not in `{directory}`, so speakers are told apart by the "
    "small network of a package; `make engines` fetches it, or says what that needs"
)
# Where what is known of the audio already travels in pyannote's file mapping.
SCORES_KEY, EMBEDDINGS_KEY = "onecard_scores", "onecard_embeddings"

Samples = npt.NDArray[np.int16]
Scores = npt.NDArray[np.float32]
Embeddings = npt.NDArray[np.float32]
NO_SCORES: Scores = np.zeros((0, 0, 0), np.float32)
NO_EMBEDDINGS: Embeddings = np.zeros((0, 0, 0), np.float32)


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


class PcmAudio(Audio):
    """pyannote's reader for a waveform of 16-bit samples: only what it cuts out becomes floats."""

    def downmix_and_resample(
        self, waveform: torch.Tensor, sample_rate: int, channel: int | None = None
    ) -> tuple[torch.Tensor, int]:
        floats = torch.from_numpy(to_float(waveform.numpy()))
        found: tuple[torch.Tensor, int] = super().downmix_and_resample(
            floats, sample_rate, channel=channel
        )
        return found


class LocalSpeakerDiarization(SpeakerDiarization):
    """SpeakerDiarization from model objects instead of names on a hub, of 16-bit waveforms.

    Where the file mapping holds segmentation scores or embeddings, they are used and not computed
    again.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(
            segmentation=segmentation.load(config.segmentation),
            segmentation_step=STEP_RATIO,  # as in detect_speech, whose scores fit
            segmentation_batch_size=config.segmentation_batch_size,
            embedding_batch_size=config.embedding_batch_size,
            embedding_exclude_overlap=True,
            # pyannote loads a PLDA even for a clustering that has none: this one is never used.
            plda=PLDA.__new__(PLDA),
            # The oracle is the one clustering for which pyannote does not fetch an embedding
            # by name; ours replaces both below.
            clustering="OracleClustering",
        )
        self._embedding = embedding.load(config.embedding)
        self._audio = PcmAudio(sample_rate=self._embedding.sample_rate, mono="downmix")
        self.klustering = "AgglomerativeClustering"
        self.clustering = clustering.agglomerative(
            self._embedding.metric, config.max_clustered_embeddings
        )
        self._expects_num_speakers = self.clustering.expects_num_clusters
        self.instantiate(
            {
                "segmentation": {
                    "threshold": config.segmentation_threshold,
                    "min_duration_off": config.min_duration_off_s,
                },
                "clustering": {
                    "method": config.clustering_method,
                    "threshold": config.clustering_threshold,
                    "min_cluster_size": config.min_cluster_size,
                },
            }
        )

    def get_segmentations(self, file: Mapping[str, Any], hook: Any = None) -> SlidingWindowFeature:
        """(num_windows, num_frames, num_speakers) scores."""
        shared = file.get(SCORES_KEY)
        if shared is None:
            floats = torch.from_numpy(to_float(file["waveform"].numpy()))
            found = super().get_segmentations({**file, "waveform": floats}, hook=hook)
            return WindowScores(found.data, found.sliding_window)
        window = SlidingWindow(
            start=0.0, duration=self._segmentation.duration, step=self._segmentation.step
        )
        return WindowScores(shared, window)

    def get_embeddings(
        self, file: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> npt.NDArray[np.float32]:
        """(num_windows, num_speakers, dimension)"""
        found: Embeddings | None = file.get(EMBEDDINGS_KEY)
        if found is None:
            found = super().get_embeddings(file, *args, **kwargs)
        return found

    reconstruct = staticmethod(reconstruction.reconstruct)  # with less memory

    def embed(self, file: Mapping[str, Any]) -> Embeddings:
        """(num_windows, num_speakers, dimension) of every local speaker, NaN where one is silent.

        Each window's depend on no other window, so those of a recording are those of its parts.
        """
        speakers = binarize(
            self.get_segmentations(file),
            onset=self.segmentation.threshold,
            initial_state=False,
        )
        return self.get_embeddings(file, speakers, exclude_overlap=self.embedding_exclude_overlap)

    def verify(self, scores: Scores, embeddings: Embeddings, num_samples: int) -> None:
        """Raises InvalidRequest where they cannot belong to `num_samples` of audio."""
        model: Any = self._segmentation.model
        num_speakers = len(model.specifications.classes)
        num_frames = model.num_frames(SEGMENTATION.size)
        if len(scores):
            SEGMENTATION.verify("SCORES", scores, num_samples, num_frames, num_speakers)
        if len(embeddings):
            if not len(scores):
                raise InvalidRequest("EMBEDDINGS came without SCORES; send both or neither")
            dimension = self._embedding.dimension
            SEGMENTATION.verify("EMBEDDINGS", embeddings, num_samples, num_speakers, dimension)


class Diarizer:
    """One loaded pipeline; `diarize` serves one request at a time."""

    def __init__(self, config: Config, num_threads: int) -> None:
        torch.set_num_threads(num_threads)
        telemetry.set_telemetry_metrics(False)
        if telemetry.is_metrics_enabled():
            raise RuntimeError("pyannote's telemetry is on; set PYANNOTE_METRICS_ENABLED=0")
        directory = _directory(config)
        is_fallback = directory is None and config.pipeline != NO_PIPELINE
        self.warnings = [FALLBACK.format(directory=config.pipeline)] if is_fallback else []
        if directory is None:
            self.pipeline = LocalSpeakerDiarization(config)
        else:
            self.pipeline = local_pipeline.load(directory)
            self.pipeline.segmentation_batch_size = config.segmentation_batch_size
            self.pipeline.embedding_batch_size = config.embedding_batch_size
            clustering.bound(self.pipeline.clustering, config.max_clustered_embeddings)
        device = devices.device(config.device)
        complex_abs.bridge_where_broken(device)  # of Kaldi's filter bank and of our own
        self.pipeline.to(device)
        self.is_local = directory is None
        self.max_distance = known.SMALL_NETWORK if self.is_local else known.PIPELINE
        about = {"clustering": self.pipeline.klustering, **devices.about(device)}
        self.engine = {**about, **_models(config, directory)}

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
        if not self.is_local or not options.tells_speakers or not len(scores):
            return NO_EMBEDDINGS
        found: Embeddings = self.pipeline.embed(self._file(pcm, scores, NO_EMBEDDINGS))
        return found

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
            nobody = turns.document([], [], {}, options, self.engine, self.max_distance)
            return self._warned(nobody)
        file = self._file(pcm, scores, NO_EMBEDDINGS if embeddings is None else embeddings)
        engine = {**self.engine, "scores": "shared" if SCORES_KEY in file else "computed"}
        output = self._apply(file, _speaker_bounds(options))
        duration_s = num_samples / SAMPLE_RATE
        return self._warned(_document(output, duration_s, options, engine, self.max_distance))

    def _warned(self, document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "warnings": [*self.warnings, *document["warnings"]]}

    def _file(self, pcm: Samples | int, scores: Scores, embeddings: Embeddings) -> dict[str, Any]:
        """The recording as pyannote takes one, with what is known of it."""
        if isinstance(pcm, int) and self.is_local and len(scores) and len(embeddings):
            pcm = np.broadcast_to(np.int16(0), pcm)  # pyannote wants one, which nobody reads
        pcm = needed(pcm)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the array may be read-only, and is only read
            waveform = torch.from_numpy(pcm if self.is_local else to_float(pcm))[None]
        file: dict[str, Any] = {"waveform": waveform, "sample_rate": SAMPLE_RATE, "uri": "audio"}
        if self.is_local:
            self.pipeline.verify(scores, embeddings, len(pcm))
            known = {SCORES_KEY: scores, EMBEDDINGS_KEY: embeddings}
            file |= {key: value for key, value in known.items() if len(value)}
        return file

    def _apply(self, file: dict[str, Any], bounds: dict[str, Any]) -> Any:
        try:
            exact, _, _ = self.pipeline.set_num_speakers(**bounds)
        except ValueError as error:
            raise InvalidRequest(f"pyannote refuses the numbers of speakers: {error}") from error
        if exact is None and self.pipeline._expects_num_speakers:
            raise InvalidRequest(
                f"`num_speakers` is not set, and the server's {self.pipeline.klustering} needs "
                "it; set `num_speakers`"
            )
        with warnings.catch_warnings():
            # Means over nothing on silence, and bounds not met, which the document reports.
            warnings.simplefilter("ignore")
            return self.pipeline(file, preload=False, **bounds)


def _directory(config: Config) -> Path | None:
    """The directory of the pipeline; None for the one made of `segmentation` and `embedding`."""
    if config.pipeline == NO_PIPELINE:
        return None
    directory = Path(config.pipeline)
    is_there = (directory / local_pipeline.CONFIG).is_file()
    return directory if is_there or not config.pipeline_is_optional else None


def _models(config: Config, directory: Path | None) -> dict[str, Any]:
    """The description of the networks in use, for TURNS."""
    about = {"backend": f"pyannote.audio {version('pyannote.audio')}"}
    if directory is not None:
        is_built = (directory / manifest.FILENAME).is_file()
        name = manifest.read(directory).model if is_built else directory.name
        return {**about, "pipeline": name}
    models = {name: Path(getattr(config, name)) for name in ("segmentation", "embedding")}
    return {**about, **{name: manifest.read(path).model for name, path in models.items()}}


def _speaker_bounds(options: TranscribeOptions) -> dict[str, Any]:
    return {
        "num_speakers": options.num_speakers,
        "min_speakers": options.min_speakers,
        "max_speakers": options.max_speakers,
    }


def _document(
    output: Any,
    duration_s: float,
    options: TranscribeOptions,
    engine: dict[str, Any],
    max_distance: float,
) -> dict[str, Any]:
    """pyannote's DiarizeOutput as a TURNS document."""
    annotation = output.speaker_diarization
    labels, vectors = annotation.labels(), output.speaker_embeddings
    exclusive = _tracks(output.exclusive_speaker_diarization)
    return turns.document(
        turns.from_tracks(_tracks(annotation), duration_s),
        turns.one_at_a_time(turns.from_tracks(exclusive, duration_s)),
        {} if vectors is None else dict(zip(labels, vectors, strict=True)),
        options,
        engine,
        max_distance,
    )


def _tracks(annotation: Any) -> list[tuple[float, float, str]]:
    tracks = annotation.itertracks(yield_label=True)
    return [(segment.start, segment.end, label) for segment, _, label in tracks]

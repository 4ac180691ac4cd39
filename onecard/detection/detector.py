"""Detects speech in a clip: scores, regions, chunks, and the document SPEECH."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from onecard.audio import SAMPLE_RATE, Pcm, length, needed
from onecard.detection import vad
from onecard.detection.segmentation import Scores, Segmenter
from onecard.detection.silero import Silero
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions

# Which package computes, and what it loads, for the result.
ENGINES = {
    "pyannote": {
        "backend": f"openvino {version('openvino')}",
        "model": "PyanNet segmentation, as in WhisperX",
    },
    "silero": {
        "backend": f"silero-vad {version('silero-vad')}",
        "model": "Silero VAD",
    },
}


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt."""

    segmentation: str  # a directory for `segmentation.load`
    batch_size: int
    precision: str  # of the network's LSTM, `float32` or `bfloat16`


class Detector:
    """Both methods, loaded."""

    def __init__(self, segmenter: Segmenter, silero: Silero) -> None:
        self._segmenter = segmenter
        self._silero = silero
        self._engines = {
            "pyannote": {**ENGINES["pyannote"], "precision": segmenter.precision},
            "silero": ENGINES["silero"],
        }

    def detect(
        self, pcm: Pcm | int, options: TranscribeOptions, scores: Scores | None = None
    ) -> tuple[dict[str, Any], Scores]:
        """Find the speech of one clip.

        Args:
            pcm: [num_samples]; their number alone where `scores` say enough.
            scores: of the whole clip, as they were returned for its parts; none, or no windows:
                they are computed.

        Returns:
            SPEECH: `{"duration_s", "method", "engine", "regions", "chunks"}`, in seconds;
                no chunks where there is no speech. A chunk has its highest `score`, from 0 to 1,
                where the method gives one.
            SCORES [windows, frames, speakers]: what diarization needs of the same network; no
                windows where silero was asked for, which does not compute them.

        Raises:
            InvalidRequest: `scores` of another clip, or no `pcm` where it is needed.
        """
        num_samples = length(pcm)
        duration_s = num_samples / SAMPLE_RATE
        pyannote = self._segmenter
        if options.segments is not None:
            return self._given(duration_s, options), self._no_scores()
        if options.vad_method == "silero":
            regions = (
                self._silero.regions(needed(pcm), options.vad_onset, options.chunk_size)
                if options.vad_filter
                else vad.evenly(duration_s, options.chunk_size)
            )
            scores = self._no_scores()
            speech = None
        else:
            if scores is not None and len(scores):
                pyannote.verify(scores, num_samples)
            else:
                scores = pyannote.scores(needed(pcm))
            speech = vad.aggregate(scores, pyannote.frames, duration_s) if len(scores) else scores
            regions = (
                vad.binarize(
                    speech, pyannote.frames, options.vad_onset, options.vad_offset,
                    options.chunk_size,
                )
                if options.vad_filter
                else vad.everything(speech, pyannote.frames, duration_s, options.chunk_size)
            )  # fmt: skip
        regions = vad.clamp(regions, duration_s)
        if options.spans:
            regions = vad.within(regions, options.spans)
        document = {
            "duration_s": duration_s,
            "method": options.vad_method,
            "engine": self._engines[options.vad_method],
            "regions": regions,
            "chunks": [
                self._document(chunk, speech) for chunk in vad.merge(regions, options.chunk_size)
            ],
        }
        return document, scores

    def _no_scores(self) -> Scores:
        network = self._segmenter
        return np.zeros((0, network.num_frames, network.num_speakers), np.float32)

    def _given(self, duration_s: float, options: TranscribeOptions) -> dict[str, Any]:
        """SPEECH of the caller's own segments, each of which is decoded by itself."""
        spans = [(span["start"], span["end"]) for span in options.segments or ()]
        for start_s, end_s in spans:
            if start_s >= duration_s - vad.MIN_GIVEN_S:
                raise InvalidRequest(
                    f"`segments` has one from {start_s:g} to {end_s:g} s, AUDIO lasts "
                    f"{duration_s:.3f} s; send the segments of this recording"
                )
        regions = vad.clamp(spans, duration_s)
        chunks = [asdict(chunk) for chunk in vad.given(regions, options.chunk_size)]
        return {"duration_s": duration_s, "method": "given", "regions": regions, "chunks": chunks}

    def _document(self, chunk: vad.Chunk, speech: vad.FloatArray | None) -> dict[str, Any]:
        document = asdict(chunk)
        if speech is not None and len(speech):
            span = chunk.start, chunk.end
            document["score"] = round(vad.highest(speech, self._segmenter.frames, span), 3)
        return document

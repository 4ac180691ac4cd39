"""pyannote's segmentation network: 16 kHz samples to who-speaks scores, window by window.

Windows are those of pyannote's SpeakerDiarization, so that the scores serve diarization as they
are. `onecard.detection.vad` decides what is speech and where chunks end.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

# Before the import: pyannote.audio reports each use to its makers otherwise.
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file

from onecard import manifest
from onecard.audio import Pcm, to_float
from onecard.audio.windows import SEGMENTATION, STEP_RATIO, WINDOW_S
from onecard.detection.pyannet import SlidingPyanNet
from onecard.detection.vad import Frames

with warnings.catch_warnings():
    # torchcodec is left out on purpose: waveforms are decoded by `onecard.audio`.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

Scores = npt.NDArray[np.float32]


def load(directory: Path | str) -> Any:
    """The pyannote Model in a directory of `model.safetensors`, `config.json` and a manifest.

    Raises:
        ManifestError: a file is missing or is not the one that was built.
        RuntimeError: the tensors do not fit the network that the configuration describes.
    """
    directory = Path(directory)
    manifest.verify(directory)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    model: Any = PyanNet(**config["hyper_parameters"])
    facts = config["specifications"]
    model.specifications = Specifications(
        problem=Problem[facts["problem"]],
        resolution=Resolution[facts["resolution"]],
        duration=facts["duration"],
        warm_up=tuple(facts["warm_up"]),
        classes=list(facts["classes"]),
        permutation_invariant=facts["permutation_invariant"],
    )
    model.build()
    model.load_state_dict(load_file(directory / "model.safetensors"))
    return model.eval()


class Segmenter:
    """A loaded network, compiled for the CPU, and the geometry of its output.

    Args:
        batch_size: windows per forward pass of the LSTM.
        precision: of the LSTM, as for `SlidingPyanNet`.
        num_threads: forward passes at the same time.

    Attributes:
        precision: the one in use.
    """

    def __init__(
        self, model: Any, batch_size: int, precision: str = "float32", num_threads: int = 1
    ) -> None:
        self._batch_size = batch_size
        self._num_threads = num_threads
        if model.specifications.duration != WINDOW_S:
            raise ValueError(
                f"the segmentation network has windows of {model.specifications.duration} s, must "
                f"have {WINDOW_S} s; run `make setup`, which converts WhisperX's"
            )
        field = model.receptive_field
        self.frames = Frames(
            window_s=WINDOW_S, step_s=STEP_RATIO * WINDOW_S, frame_s=field.duration,
            frame_step_s=field.step,
        )  # fmt: skip
        self.num_frames = int(model.num_frames(SEGMENTATION.size))
        self.num_speakers = len(model.specifications.classes)
        self._network = SlidingPyanNet(
            model, SEGMENTATION.size, SEGMENTATION.step, precision=precision,
            num_threads=num_threads,
        )  # fmt: skip
        self.precision = self._network.precision

    def scores(self, pcm: Pcm) -> Scores:
        """[windows, frames, speakers] in [0, 1]; no window for a clip without samples."""
        if not len(pcm):
            return np.zeros((0, self.num_frames, self.num_speakers), np.float32)
        # A short clip is divided, so that every thread has a batch.
        size = min(self._batch_size, -(-SEGMENTATION.count(len(pcm)) // self._num_threads))
        parts = SEGMENTATION.parts(len(pcm), size)
        return np.concatenate(self._network(_span(pcm, *part) for part in parts))

    def verify(self, scores: Scores, num_samples: int) -> None:
        """Raises InvalidRequest where `scores` cannot be of a clip of `num_samples`."""
        SEGMENTATION.verify("SCORES", scores, num_samples, self.num_frames, self.num_speakers)


def _span(pcm: Pcm, first: int, last: int) -> Scores:
    """[samples] of windows [first, last), with zeros beyond the clip's end."""
    start, end = SEGMENTATION.samples(first, last)
    span = to_float(pcm[start:end])
    return np.pad(span, (0, end - start - len(span)))

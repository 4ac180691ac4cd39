"""pyannote's segmentation network: 16 kHz samples to who-speaks scores, window by window.

It knows the network and the windows that pyannote's SpeakerDiarization slides over a clip, so that
the scores serve diarization as they are. What speech is, and where chunks end, is `onecard.vad`'s.
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
from onecard.audio import SAMPLE_RATE, Pcm, to_float
from onecard.pyannet import SlidingPyanNet
from onecard.vad import Frames

with warnings.catch_warnings():
    # torchcodec is left out on purpose: waveforms are decoded by `onecard.audio`.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

# Of a window; the default of pyannote.audio's SpeakerDiarization and of its Inference.
STEP_RATIO = 0.1

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
        batch_size: windows per forward pass; each takes about 4 MB while it runs.
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
        window_s = float(model.specifications.duration)
        self._window = round(window_s * SAMPLE_RATE)
        self._step = round(STEP_RATIO * window_s * SAMPLE_RATE)
        field = model.receptive_field
        self.frames = Frames(
            window_s=window_s, step_s=STEP_RATIO * window_s, frame_s=field.duration,
            frame_step_s=field.step,
        )  # fmt: skip
        self.num_frames = int(model.num_frames(self._window))
        self.num_speakers = len(model.specifications.classes)
        self._network = SlidingPyanNet(
            model, self._window, self._step, precision=precision, num_threads=num_threads
        )
        self.precision = self._network.precision

    def scores(self, pcm: Pcm) -> Scores:
        """[windows, frames, speakers] in [0, 1]; no window for a clip without samples."""
        if not len(pcm):
            return np.zeros((0, self.num_frames, self.num_speakers), np.float32)
        num_windows = 1 + max(0, -(-(len(pcm) - self._window) // self._step))
        # A short clip is divided, so that every thread has a batch.
        size = min(self._batch_size, -(-num_windows // self._num_threads))
        starts = range(0, num_windows, size)
        spans = (self._span(pcm, first, min(first + size, num_windows)) for first in starts)
        return np.concatenate(self._network(spans))

    def _span(self, pcm: Pcm, first: int, last: int) -> Scores:
        """[samples] of windows [first, last), with zeros beyond the clip's end."""
        start = first * self._step
        length = (last - 1 - first) * self._step + self._window
        span = to_float(pcm[start : start + length])
        return np.pad(span, (0, length - len(span)))

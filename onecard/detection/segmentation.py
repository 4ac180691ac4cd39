"""pyannote's segmentation network: 16 kHz samples to who-speaks scores, window by window.

Windows are those of pyannote's SpeakerDiarization, so that the scores serve diarization as they
are. `onecard.detection.vad` decides what is speech and where chunks end.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file

from onecard import manifest
from onecard.audio import SAMPLE_RATE, Pcm, to_float
from onecard.audio.windows import SEGMENTATION, STEP_RATIO, WINDOW_S
from onecard.detection.sliding import SlidingPyanNet
from onecard.detection.vad import Frames
from onecard.networks.pyannet import PyanNet

Scores = npt.NDArray[np.float32]

# What the scores are: of each speaker in each frame.
_KIND = {"problem": "MULTI_LABEL_CLASSIFICATION", "resolution": "FRAME", "duration": WINDOW_S}


def load(directory: Path | str) -> PyanNet:
    """The network in a directory of `model.safetensors`, `config.json` and a manifest.

    Raises:
        ManifestError: a file is missing or is not the one that was built.
        ValueError: the configuration is of another kind of network.
        RuntimeError: the tensors do not fit the network that the configuration describes.
    """
    directory = Path(directory)
    manifest.verify(directory)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    stated = config["specifications"]
    kind = {name: stated[name] for name in _KIND}
    if kind != _KIND:
        raise ValueError(
            f"the segmentation network in `{directory}` is `{kind}`, must be `{_KIND}`; run `make "
            "setup`, which converts WhisperX's"
        )
    network = PyanNet(config["hyper_parameters"], len(stated["classes"]))
    network.load_state_dict(load_file(directory / "model.safetensors"))
    return network.eval()


def frames(network: PyanNet) -> Frames:
    """Where the frames of its scores lie."""
    return Frames(
        window_s=WINDOW_S, step_s=STEP_RATIO * WINDOW_S,
        frame_s=network.frame_size / SAMPLE_RATE, frame_step_s=network.frame_step / SAMPLE_RATE,
    )  # fmt: skip


def span(pcm: Pcm, first: int, last: int) -> Scores:
    """[samples] of windows [first, last), with zeros beyond the clip's end."""
    start, end = SEGMENTATION.samples(first, last)
    found = to_float(pcm[start:end])
    return np.pad(found, (0, end - start - len(found)))


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
        self, network: PyanNet, batch_size: int, precision: str = "float32", num_threads: int = 1
    ) -> None:
        self._batch_size = batch_size
        self._num_threads = num_threads
        self.frames = frames(network)
        self.num_frames = network.num_frames(SEGMENTATION.size)
        self.num_speakers = network.num_speakers
        self._network = SlidingPyanNet(
            network, SEGMENTATION.size, SEGMENTATION.step, precision=precision,
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
        return np.concatenate(self._network(span(pcm, *part) for part in parts))

    def verify(self, scores: Scores, num_samples: int) -> None:
        """Raises InvalidRequest where `scores` cannot be of a clip of `num_samples`."""
        SEGMENTATION.verify("SCORES", scores, num_samples, self.num_frames, self.num_speakers)

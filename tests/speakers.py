"""Speaker turns as pyannote scores them, and pyannote's own pipeline to be held against."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from pyannote.core import Annotation, Segment, Timeline

from evaluation.peers import speaker_diarization
from onecard import audio


def annotation(turns: Iterable[Mapping[str, Any]]) -> Annotation:
    found = Annotation()
    for i, turn in enumerate(turns):
        found[Segment(turn["start"], turn["end"]), i] = turn["speaker"]
    return found


def whole(num_samples: int) -> Timeline:
    """All of a clip is scored."""
    return Timeline([Segment(0.0, num_samples / audio.SAMPLE_RATE)])


class Pyannote:
    """SpeakerDiarization as its authors wrote it, on the plan's weights and parameters."""

    def __init__(self) -> None:
        self.pipeline = speaker_diarization.load()

    def __call__(self, pcm: np.ndarray) -> Annotation:
        """Turns of [N] int16 samples at 16 kHz."""
        waveform = torch.from_numpy(audio.to_float(pcm))[None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self.pipeline({"waveform": waveform, "sample_rate": audio.SAMPLE_RATE})
        return output.speaker_diarization

"""Silero's voice activity detection: 16 kHz samples to speech regions."""

from __future__ import annotations

from importlib import resources
from typing import Any

# Importing the package sets torch to one thread (silero_vad/model.py): set yours afterwards.
from silero_vad.sequence_vad import SileroVADSequence, get_speech_timestamps_sequence

from onecard.audio import SAMPLE_RATE, Pcm, to_float
from onecard.detection.vad import Region

# The stock network with its loop over frames inside the graph: the same probabilities, faster.
_NETWORK = "silero_vad_16k_sequence.onnx"


class Silero:
    """The network, on one thread."""

    def __init__(self) -> None:
        path = resources.files("silero_vad.data").joinpath(_NETWORK)
        self._network: Any = SileroVADSequence(str(path))

    def regions(self, pcm: Pcm, onset: float, max_region_s: float) -> list[Region]:
        """Regions of speech as WhisperX asks silero for them: `onset` is the threshold.

        The package's other defaults hold (off below `onset` - 0.15, regions of at least 0.25 s,
        padded by 0.03 s); a region above `max_region_s` is cut at its longest silence.
        """
        if not len(pcm):
            return []
        spans = get_speech_timestamps_sequence(
            to_float(pcm),
            self._network,
            threshold=onset,
            sampling_rate=SAMPLE_RATE,
            max_speech_duration_s=max_region_s,
        )
        return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in spans]

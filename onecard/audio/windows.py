"""Where the windows of the segmentation network lie in a clip, in samples.

Windows of one length start at equal distances; the last one reaches beyond the clip, into zeros.
The lengths are those that WhisperX's network was trained on and that pyannote.audio's
SpeakerDiarization steps by (its `segmentation_step`, and the default of `Inference`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from onecard.audio import SAMPLE_RATE
from onecard.errors import InvalidRequest

WINDOW_S = 5.0
STEP_RATIO = 0.1


@dataclass(frozen=True)
class Windows:
    """Windows of `size` samples, one every `step`."""

    size: int
    step: int

    def count(self, num_samples: int) -> int:
        """Windows of a clip: those that fit, and one for what is left; none for no samples."""
        if not num_samples:
            return 0
        return 1 + max(0, -(-(num_samples - self.size) // self.step))

    def samples(self, first: int, last: int) -> tuple[int, int]:
        """[start, end) of what windows [first, last) cover."""
        return first * self.step, (last - 1) * self.step + self.size

    def parts(self, num_samples: int, num_windows: int) -> Iterator[tuple[int, int]]:
        """[first, last) windows of each part of a clip, with `num_windows` in all but the last."""
        count = self.count(num_samples)
        for first in range(0, count, num_windows):
            yield first, min(first + num_windows, count)

    def verify(self, name: str, array: np.ndarray[Any, Any], num_samples: int, *rest: int) -> None:
        """Raises InvalidRequest where `array` [windows, *rest] is not of a clip of that length."""
        wanted = (self.count(num_samples), *rest)
        if array.shape != wanted:
            raise InvalidRequest(
                f"{name} has the shape {list(array.shape)}, must be {list(wanted)} for "
                f"{num_samples} samples; send what was returned for this audio, or no windows to "
                "have it computed"
            )


SEGMENTATION = Windows(round(WINDOW_S * SAMPLE_RATE), round(STEP_RATIO * WINDOW_S * SAMPLE_RATE))

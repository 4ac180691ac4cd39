"""PCM without a header as frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from onecard.errors import InvalidRequest

# Taken are blocks of this many samples of each channel, to bound memory.
_BLOCK_FRAMES = 1 << 16
_MAX_LAYOUT = 8


def frames(samples: npt.NDArray[Any], sample_rate: int, channels: int) -> Iterator[Any]:
    """Frames of interleaved int16 or float32 `samples`.

    Raises:
        InvalidRequest: a sample is no finite number.
    """
    # `8c` is FFmpeg's usual layout of eight, `9C` nine channels of no layout.
    layout = f"{channels}c" if channels <= _MAX_LAYOUT else f"{channels}C"
    for start in range(0, len(samples), _BLOCK_FRAMES * channels):
        block = samples[start : start + _BLOCK_FRAMES * channels]
        if not np.isfinite(block).all():
            raise InvalidRequest(
                "AUDIO has samples that are no finite numbers, must be within -1 and 1; "
                "check `encoding`"
            )
        kind = "s16" if block.dtype.kind == "i" else "flt"
        interleaved = np.ascontiguousarray(block.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(interleaved, format=kind, layout=layout)
        frame.sample_rate = sample_rate
        yield frame

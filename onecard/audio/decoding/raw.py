"""Sound without a header as frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from onecard.audio.containers.walker import Data
from onecard.audio.encodings import ENCODINGS
from onecard.errors import InvalidRequest

# This many blocks of each channel are taken at a time, to bound memory.
_BLOCKS = 1 << 16
_MAX_LAYOUT = 8
# Decoders that take one frame of their codec at a time, in which a byte more is another frame.
_ONE_BY_ONE = ("gsm", "g729")


def duration_s(num_bytes: int, encoding: str, sample_rate: int, channels: int) -> float:
    """How long `num_bytes` last."""
    coding = ENCODINGS[encoding]
    return num_bytes / channels / coding.block_bytes * coding.block_samples / sample_rate


def frames(data: Data, encoding: str, sample_rate: int, channels: int) -> Iterator[Any]:
    """Frames of `data`, whose channels are interleaved.

    Raises:
        InvalidRequest: not a whole number of blocks, a sample that is no finite number, or what
            the decoder does not take.
    """
    block_bytes = ENCODINGS[encoding].block_bytes * channels
    if len(data) % block_bytes and (encoding not in _ONE_BY_ONE or len(data) < block_bytes):
        raise InvalidRequest(
            f"AUDIO has {len(data)} bytes, must be a multiple of {block_bytes} "
            f"({channels} channels of `{encoding}`); check `encoding` and `channels`"
        )
    decoder = _decoder(encoding, sample_rate, channels)
    step = block_bytes * (1 if encoding in _ONE_BY_ONE else _BLOCKS)
    # the part of a frame at the end of a recording that stopped amid it holds no sound
    for start in range(0, len(data) - len(data) % block_bytes, step):
        try:
            decoded = decoder.decode(av.Packet(bytes(data[start : start + step])))
        except av.FFmpegError as error:
            raise InvalidRequest(
                f"AUDIO is not `{encoding}` at byte {start} ({error}); check `encoding`"
            ) from error
        for frame in decoded:
            _verify(frame, encoding)
            yield frame


def _decoder(encoding: str, sample_rate: int, channels: int) -> Any:
    decoder: Any = av.CodecContext.create(encoding, "r")
    decoder.sample_rate = sample_rate
    # `8c` is FFmpeg's usual layout of eight, `9C` nine channels of no layout
    decoder.layout = f"{channels}c" if channels <= _MAX_LAYOUT else f"{channels}C"
    return decoder


def _verify(frame: Any, encoding: str) -> None:
    if encoding.startswith("pcm_f") and not np.isfinite(frame.to_ndarray()).all():
        raise InvalidRequest(
            "AUDIO has samples that are no finite numbers, must be within -1 and 1; "
            "check `encoding`"
        )

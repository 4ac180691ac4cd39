"""Recordings as the models take them: 16 kHz mono samples of any media file, or of raw PCM.

FFmpeg is loaded with the first use of what decodes: of twelve processes that want the sample rate,
none decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecard.audio.clip import Choice, Clip, Form, Limits, Wanted
from onecard.audio.pcm import (
    NO_SAMPLES,
    PCM_SCALE,
    Blocks,
    FileSink,
    Pcm,
    Sink,
    length,
    needed,
    to_float,
)
from onecard.contract.whisper import SAMPLE_RATE

if TYPE_CHECKING:
    from onecard.audio.decoding.recording import Source, decode, decode_into, decode_raw

_DECODING = ("Source", "decode", "decode_into", "decode_raw")

__all__ = [
    "NO_SAMPLES",
    "PCM_SCALE",
    "SAMPLE_RATE",
    "Blocks",
    "Choice",
    "Clip",
    "FileSink",
    "Form",
    "Limits",
    "Pcm",
    "Sink",
    "Source",
    "Wanted",
    "decode",
    "decode_into",
    "decode_raw",
    "length",
    "needed",
    "to_float",
]


def __getattr__(name: str) -> Any:
    if name not in _DECODING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from onecard.audio.decoding import recording

    return getattr(recording, name)

"""Recordings as the models take them: 16 kHz mono samples of any media file, or of raw PCM."""

from onecard.audio.decode import Choice, Clip, Limits, Source, decode, decode_into, decode_raw
from onecard.audio.pcm import (
    NO_SAMPLES,
    PCM_SCALE,
    SAMPLE_RATE,
    Blocks,
    FileSink,
    Pcm,
    Sink,
    length,
    needed,
    to_float,
)

__all__ = [
    "NO_SAMPLES",
    "PCM_SCALE",
    "SAMPLE_RATE",
    "Blocks",
    "Choice",
    "Clip",
    "FileSink",
    "Limits",
    "Pcm",
    "Sink",
    "Source",
    "decode",
    "decode_into",
    "decode_raw",
    "length",
    "needed",
    "to_float",
]

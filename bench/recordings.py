"""Speech of any length, put together from the bundled recordings, over and over where need be."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from build_scripts.bootstrap import samples
from evaluation.recordings import wav as wav  # those who ask for clips send them
from onecard import audio
from onecard.audio import SAMPLE_RATE, Pcm

GAP_S = 0.8
_NOISE = np.random.default_rng(0)
LIMITS = audio.Limits(max_audio_s=3600.0, max_audio_bytes=2**30)


def conversation() -> bytes:
    """A WAV file of 30 s of telephone talk by two people; `fresh` at every call."""
    return wav(fresh(_read(_path("conversation", "sample.wav"))))


@cache
def speech() -> Pcm:
    """Every English recording one after the other, with pauses: seven minutes of 16 kHz mono.

    Raises InstallError where recordings are missing.
    """
    paths = [_path("conversation", "sample.wav"), _path("jfk", "jfk.wav")]
    paths += sorted(samples.folder("meetings").glob("*.wav"))
    paths += sorted(samples.folder("dictation").glob("*.wav"))
    gap = np.zeros(round(GAP_S * SAMPLE_RATE), np.int16)
    return np.concatenate([part for path in paths for part in (_read(path), gap)])


def clip(seconds: float, start_s: float = 0.0) -> Pcm:
    """`seconds` of `speech()` from `start_s` on; it begins again where it ends."""
    indices = np.arange(round(seconds * SAMPLE_RATE)) + round(start_s * SAMPLE_RATE)
    return np.take(speech(), indices, mode="wrap")


def fresh(pcm: Pcm) -> Pcm:
    """The same with other noise in its last bit at every call.

    The engine keeps the encoder's output of the audio it had last, as it comes several times in one
    transcription. Nobody sends a recording twice, so a benchmark must not be answered from it.
    """
    noise = _NOISE.integers(-1, 2, len(pcm))
    return np.clip(pcm + noise, -32768, 32767).astype(np.int16)


def _path(recordings: str, name: str) -> Path:
    return samples.folder(recordings) / name


@cache
def _read(path: Path) -> Pcm:
    return audio.decode(path.read_bytes(), LIMITS)[0]

"""Samples at 16 kHz, mono, and where they go while a file is decoded."""

from __future__ import annotations

from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from onecard.errors import InvalidRequest

PCM_SCALE = 32_768.0
# An eighth of the telephone's, and the highest that sound cards have.
MIN_RATE, MAX_RATE = 1_000, 768_000

Pcm = npt.NDArray[np.int16]

NO_SAMPLES: Pcm = np.zeros(0, np.int16)


class Sink(Protocol):
    """Takes samples block by block; a second look at a file starts over."""

    def write(self, block: Pcm) -> object: ...
    def restart(self) -> None: ...


class Blocks:
    """A sink in memory."""

    def __init__(self) -> None:
        self._blocks = [NO_SAMPLES]

    def write(self, block: Pcm) -> None:
        self._blocks.append(block)

    def restart(self) -> None:
        self._blocks = [NO_SAMPLES]

    def pcm(self) -> Pcm:
        """[num_samples] of everything that was written."""
        return np.concatenate(self._blocks)


class FileSink:
    """A sink in a file, which holds nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, block: Pcm) -> None:
        self._file.write(block.data)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()


def to_float(pcm: Pcm) -> npt.NDArray[np.float32]:
    """Samples in [-1, 1), as WhisperX and OpenAI scale them."""
    return pcm.astype(np.float32) / np.float32(PCM_SCALE)


def verify_duration(duration_s: float, max_audio_s: float) -> None:
    """Raises InvalidRequest where a recording lasts longer than is served."""
    if duration_s > max_audio_s:
        raise InvalidRequest(
            f"AUDIO lasts at least {duration_s:.1f} s, at most {max_audio_s:g} s are "
            "served; split it"
        )


def verify_rate(sample_rate: int) -> None:
    """Raises InvalidRequest for a sample rate at which nobody records speech.

    A resampler's filter grows with the rate: from 240 MHz it takes seconds and 2 GB to make one.
    """
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise InvalidRequest(
            f"AUDIO has {sample_rate} samples a second, must have {MIN_RATE} to {MAX_RATE}; "
            "correct its header, or convert it"
        )


def length(pcm: Pcm | int) -> int:
    """Samples of a recording: it, or their number alone."""
    return pcm if isinstance(pcm, int) else len(pcm)


def needed(pcm: Pcm | int) -> Pcm:
    """Raises InvalidRequest where samples are needed and their number alone came."""
    if isinstance(pcm, int):
        raise InvalidRequest(
            "PCM is missing; send it, as NUM_SAMPLES is enough only beside what was made of all of "
            "it before (SCORES for `vad_method` `pyannote`; EMBEDDINGS too for turns)"
        )
    return pcm

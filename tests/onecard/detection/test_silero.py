"""Silero's regions against the package's own slower path, on real speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from onecard import audio
from onecard.detection import silero, vad


@pytest.fixture(scope="module")
def pcm(conversation: Path) -> np.ndarray:
    return audio.decode(conversation.read_bytes(), audio.Limits(60.0, 1 << 28))[0]


@pytest.mark.parametrize(("onset", "longest_s"), [(0.5, 30.0), (0.3, 4.0)])
def test_regions_equal_the_packages(pcm: np.ndarray, onset: float, longest_s: float) -> None:
    from silero_vad import get_speech_timestamps, load_silero_vad

    spans = get_speech_timestamps(
        torch.from_numpy(audio.to_float(pcm)), load_silero_vad(onnx=True),
        threshold=onset, max_speech_duration_s=longest_s,
    )  # fmt: skip
    found = silero.Silero().regions(pcm, onset, longest_s)
    assert found == [(span["start"] / 16_000, span["end"] / 16_000) for span in spans]
    assert all(chunk.end - chunk.start <= longest_s for chunk in vad.merge(found, longest_s))


def test_silence_and_nothing_hold_no_speech() -> None:
    network = silero.Silero()
    assert network.regions(np.zeros(48_000, np.int16), 0.5, 30.0) == []
    assert network.regions(np.zeros(0, np.int16), 0.5, 30.0) == []

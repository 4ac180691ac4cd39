"""The peer's embedding is onecard's: the same vectors, by code of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from build_scripts import paths
from evaluation import recordings
from evaluation.peers.speaker_embedding import SpeakerEmbedding
from onecard.audio import to_float
from onecard.diarization import embedding

DIRECTORY = paths.ENGINES / "embedding"


def test_vectors_are_onecard_s(conversation):
    pcm = to_float(recordings.read(conversation))
    waveforms = torch.from_numpy(
        np.stack([pcm[i * 48_000 : i * 48_000 + 80_000] for i in range(5)])
    )
    masks = torch.ones(5, 293)
    masks[0] = 0  # nobody
    masks[1, 10:] = 0  # too short
    masks[2, 60:] = 0  # shorter than a partial
    masks[3, 100:150] = 0
    ours, theirs = (
        embed(waveforms[:, None], masks)
        for embed in (SpeakerEmbedding(DIRECTORY), embedding.load(DIRECTORY))
    )
    assert np.isnan(ours[:2]).all()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_it_stays_on_the_cpu():
    embed = SpeakerEmbedding(DIRECTORY)
    assert embed.to(torch.device("cpu")) is embed
    with pytest.raises(ValueError, match="runs on `cpu`"):
        embed.to(torch.device("cuda"))

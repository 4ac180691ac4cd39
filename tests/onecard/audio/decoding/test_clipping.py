"""Silence in place of what was not asked for, and nothing behind the last of what was."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onecard.audio import Blocks, Clip
from onecard.audio.decoding.clipping import Clipped, described
from onecard.errors import InvalidRequest

PCM = np.arange(1, 48_001, dtype=np.int16)  # 3 s
CLIP = Clip(3.0, 16_000, 1, "wav", "pcm_s16le", gaps=((0.5, 0.6), (1.2, 2.8), (2.9, 3.0)))


@pytest.mark.parametrize("block", [1_000, 7_777, 48_000])
@pytest.mark.parametrize(
    "spans", [((0.5, 1.0),), ((0.25, 0.5), (1.5, 2.5)), ((2.0, math.inf),), ((0.0, 1e6),)]
)
def test_samples_stay_where_they_are(spans, block: int) -> None:
    sink = Blocks()
    clipped = Clipped(sink, spans)
    for _ in range(2):  # a second pass begins anew
        clipped.restart()
        for first in range(0, len(PCM), block):
            clipped.write(PCM[first : first + block])
    wanted = np.zeros_like(PCM)
    for start, end in spans:
        part = slice(int(start * 16_000), min(len(PCM), int(min(end, 9) * 16_000)))
        wanted[part] = PCM[part]
    end = min(len(PCM), int(min(spans[-1][1], 9) * 16_000))
    assert np.array_equal(sink.pcm(), wanted[:end])


def test_the_clip_ends_with_the_last_span() -> None:
    found = described(CLIP, ((0.0, 1.5),))
    assert (found.duration_s, found.gaps) == (1.5, ((0.5, 0.6), (1.2, 1.5)))
    assert described(CLIP, ((1.0, math.inf),)) == CLIP == described(CLIP, ())


def test_a_part_behind_the_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"from 3 s on is asked for, AUDIO lasts 3\.000 s"):
        described(CLIP, ((1.0, 2.0), (3.0, math.inf)))

"""Channels one behind the other: each as it is in the file, at a level that models hear."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from onecard import audio
from onecard.audio import Blocks, Wanted
from onecard.contract.lanes import GAP_S
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, tone

GAP = round(GAP_S * 16_000)
LEFT, RIGHT = tone(2.0, 16_000, 300.0), tone(2.0, 16_000, 700.0)
LENGTH = len(LEFT)
SEPARATE = Wanted(is_separate=True)


def raw(channels: list[np.ndarray], wanted: Wanted = SEPARATE) -> tuple[np.ndarray, audio.Clip]:
    data = np.stack(channels, axis=1).astype("<i2").tobytes()
    sink = Blocks()
    clip = audio.decode_raw(data, "pcm_s16le", 16_000, len(channels), LIMITS, sink, wanted)
    return sink.pcm(), clip


def test_each_channel_is_as_it_was() -> None:
    pcm, clip = raw([LEFT, RIGHT])
    assert (clip.duration_s, clip.channels, clip.num_separate) == (2.0, 2, 2)
    assert len(pcm) == 2 * LENGTH + GAP
    assert np.abs(pcm[:LENGTH].astype(int) - LEFT).max() <= 1
    assert np.abs(pcm[LENGTH + GAP :].astype(int) - RIGHT).max() <= 1
    assert not pcm[LENGTH : LENGTH + GAP].any()
    assert clip.warnings == ()


def test_a_quiet_channel_is_raised_and_the_other_is_not() -> None:
    pcm, _ = raw([LEFT, RIGHT // 2_000])
    assert np.abs(pcm[:LENGTH].astype(int) - LEFT).max() <= 1
    assert np.abs(pcm[LENGTH + GAP :]).max() > 20 * np.abs(RIGHT // 2_000).max()


def test_a_part_of_each_channel_may_be_asked_for() -> None:
    pcm, clip = raw([LEFT, RIGHT], Wanted(((0.5, 1.0),), is_separate=True))
    assert (clip.duration_s, len(pcm)) == (1.0, 32_000 + GAP)
    assert not pcm[:8_000].any()
    assert not pcm[16_000 + GAP : 24_000 + GAP].any()
    assert np.abs(pcm[24_000 + GAP :].astype(int) - RIGHT[8_000:16_000]).max() <= 1


@pytest.mark.parametrize(
    ("channels", "says"),
    [([LEFT], "one channel"), ([LEFT, LEFT], "its two channels are the same")],
)
def test_what_need_not_be_separated_is_said(channels: list[np.ndarray], says: str) -> None:
    _, clip = raw(channels)
    assert says in clip.warnings[0]


def test_channels_count_together_against_the_limit() -> None:
    data = np.stack([LEFT] * 3, axis=1).tobytes()
    limits = audio.Limits(60.0, 2**24)
    with pytest.raises(InvalidRequest, match=r"3 channels of 2\.0 s.*at most 60 s"):
        audio.decode_raw(data, "pcm_s16le", 16_000, 3, limits, Blocks(), SEPARATE)


def test_a_file_is_separated_as_raw_samples_are_and_decoded_no_further_than_wanted() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(np.stack([LEFT, RIGHT], axis=1).tobytes())
    sink = Blocks()
    clip = audio.decode_into(file.getvalue(), LIMITS, sink, wanted=SEPARATE)
    assert np.array_equal(sink.pcm(), raw([LEFT, RIGHT])[0])
    assert (clip.num_separate, clip.missing_s) == (2, 0.0)
    sink.restart()
    clip = audio.decode_into(file.getvalue(), LIMITS, sink, wanted=Wanted(((0.25, 0.5),)))
    assert (clip.duration_s, clip.missing_s, clip.warnings) == (0.5, 0.0, ())
    pcm = sink.pcm()
    assert len(pcm) == 8_000
    assert not pcm[:4_000].any()
    assert pcm[4_000:].any()

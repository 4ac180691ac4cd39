"""Words have the times that a player shows: late sound and gaps become silence."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from onecard import audio
from onecard.audio.decoding.mixdown import Mixdown
from onecard.audio.decoding.timeline import MAX_GAP_S, Timeline
from onecard.errors import InvalidRequest
from tests.onecard.audio.sounds import LIMITS, VIDEO_RATE, add_video, frames, tone

RATE = 48_000


def stamped(
    container: str, codec: str, shifts: list[tuple[float, float]], video_s: float, **options: str
) -> bytes:
    """Ten seconds of a tone; from each second on, packets are stamped later by the shift."""
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=options) as file:
        video = add_video(file) if video_s else None
        sound = file.add_stream(codec, rate=RATE, layout="mono")
        if video is not None:
            for index in range(int(video_s * VIDEO_RATE)):
                picture = av.VideoFrame(64, 64, "yuv420p")
                picture.pts = index
                file.mux(video.encode(picture))
            file.mux(video.encode(None))
        for part in [*_numbered(frames(tone(10.0, RATE), RATE, 1, sound)), None]:
            for packet in sound.encode(part):
                at_s = float(packet.pts * packet.time_base)
                shift_s = sum(by for since, by in shifts if at_s >= since)
                packet.pts = packet.dts = packet.pts + round(shift_s / packet.time_base)
                file.mux(packet)
    return out.getvalue()


def _numbered(parts: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    num_samples = 0
    for part in parts:
        part.pts, part.time_base = num_samples, Fraction(1, RATE)
        num_samples += part.samples
        yield part


@pytest.mark.parametrize(
    ("container", "codec"),
    [("matroska", "libopus"), ("mp4", "aac"), ("mpegts", "aac"), ("matroska", "flac")],
)
def test_sound_that_begins_after_the_picture_keeps_its_time(container: str, codec: str) -> None:
    pcm, clip = audio.decode(stamped(container, codec, [(-1.0, 4.0)], 16.0), LIMITS)
    assert abs(clip.start_s - 4.0) < 0.1
    assert abs(len(pcm) / 16_000 - 14.0) < 0.15
    assert not pcm[: int(3.8 * 16_000)].any()
    assert np.abs(pcm[int(4.2 * 16_000) : int(4.4 * 16_000)]).max() > 5_000
    assert any("after the picture" in warning for warning in clip.warnings)


def test_without_a_picture_the_sound_is_the_beginning() -> None:
    pcm, clip = audio.decode(stamped("matroska", "libopus", [(-1.0, 4.0)], 0.0), LIMITS)
    assert clip.start_s == 0
    assert abs(len(pcm) / 16_000 - 10.0) < 0.1


@pytest.mark.parametrize(("container", "codec"), [("matroska", "flac"), ("mp4", "aac")])
def test_a_gap_is_silence(container: str, codec: str) -> None:
    pcm, clip = audio.decode(stamped(container, codec, [(4.0, 5.0)], 0.0), LIMITS)
    assert abs(len(pcm) / 16_000 - 15.0) < 0.15
    ((start, end),) = clip.gaps
    assert abs(start - 4.0) < 0.15
    assert abs(end - 9.0) < 0.15
    assert not pcm[int(4.3 * 16_000) : int(8.7 * 16_000)].any()
    assert np.abs(pcm[int(9.3 * 16_000) : int(9.5 * 16_000)]).max() > 5_000


@pytest.mark.parametrize("live", ["0", "1"])
def test_a_gap_beyond_the_longest_recording_is_refused_and_not_filled(
    live: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a declared duration and, as live streams are, without one."""
    filled: list[float] = []
    monkeypatch.setattr(Mixdown, "silence", lambda _, gap_s: filled.append(gap_s))
    late = stamped("matroska", "flac", [(4.0, 500.0)], 0.0, live=live)
    with pytest.raises(InvalidRequest, match=r"lasts at least 5\d\d\.\d s, at most 60 s"):
        audio.decode(late, LIMITS)
    assert filled == []


def frame(at_s: float, num_samples: int = 1_000) -> SimpleNamespace:
    return SimpleNamespace(time=at_s, samples=num_samples, sample_rate=1_000)


def test_rounded_stamps_are_no_gaps() -> None:
    timeline = Timeline(0.0, None)
    assert [timeline.gap_s(frame(at_s)) for at_s in (0.0, 1.04, 1.98, 3.05)] == [0, 0, 0, 0]


def test_a_clock_that_is_set_makes_no_silence() -> None:
    timeline = Timeline(0.0, None)
    jump_s = MAX_GAP_S + 100
    assert timeline.gap_s(frame(0.0)) == 0
    assert timeline.gap_s(frame(jump_s)) == 0
    assert timeline.gap_s(frame(jump_s + 1)) == 0
    assert timeline.gap_s(frame(0.0)) == 0  # back again: joined streams
    assert timeline.gap_s(frame(3.0)) == 2.0
    assert timeline.gaps == [(4.0, 6.0)]


def test_no_gap_reaches_beyond_the_declared_end() -> None:
    timeline = Timeline(0.0, 10.0)
    assert timeline.gap_s(frame(0.0)) == 0
    assert timeline.gap_s(frame(500.0)) == 0
    assert Timeline(0.0, 510.0).gap_s(frame(500.0)) == 500.0

"""Films of which the sound alone is sent: what the server hears is the same."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake_server import FINISHED, events

from onecard import audio
from onecard_client.__main__ import main
from onecard_client._transport import soundtrack as _soundtrack
from onecard_client._transport.content import Content
from onecard_client._transport.soundtrack import soundtrack

LIMITS = audio.Limits(60.0, 2**26)
RATE = 48_000


@pytest.fixture(autouse=True)
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_soundtrack, "MIN_BYTES", 1)


def film(container: str = "matroska", starts_s: float = 0.0, codec: str = "aac") -> bytes:
    """Two seconds of pictures, and two tracks of sound that begin at `starts_s`."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as target:
        pictures = target.add_stream("mpeg4", 25)
        pictures.width, pictures.height, pictures.pix_fmt = 320, 240, "yuv420p"
        sounds = [target.add_stream(codec, RATE, layout="mono") for _ in range(2)]
        for stream, language in zip(sounds, ("fre", "eng"), strict=True):
            stream.metadata["language"] = language
        random = np.random.default_rng(0)
        for number in range(50):
            pixels = random.integers(0, 255, (240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(pictures.encode(frame))
            for index, stream in enumerate(sounds):
                moment = np.arange(number * 1920, (number + 1) * 1920) / RATE
                wave = 8000 * np.sin(2 * np.pi * (300 + 200 * index) * moment)
                sound = av.AudioFrame.from_ndarray(
                    wave.astype(np.int16).reshape(1, -1), format="s16", layout="mono"
                )
                sound.sample_rate = RATE
                sound.pts = number * 1920 + round(starts_s * RATE)
                sound.time_base = Fraction(1, RATE)
                target.mux(stream.encode(sound))
        for stream in (pictures, *sounds):
            target.mux(stream.encode(None))
    return file.getvalue()


def taken(data: bytes) -> tuple[bytes, str | None]:
    """The file that is sent for a film, and the warning."""
    found = soundtrack(Content.from_bytes(data))
    assert found is not None
    with found.content as content:
        return content[:], found.warning


@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts"])
@pytest.mark.parametrize("starts_s", [0.0, 0.5])
@pytest.mark.parametrize("track", [0, 1])
def test_the_sound_of_a_film_is_the_films(container: str, starts_s: float, track: int) -> None:
    data = film(container, starts_s)
    sent, warning = taken(data)
    assert warning is None
    assert len(sent) < len(data) / 4
    choice = audio.Choice(track=track)
    pcm, clip = audio.decode(data, LIMITS, choice)
    same, other = audio.decode(sent, LIMITS, choice)
    assert other.num_tracks == 2
    assert other.start_s == pytest.approx(clip.start_s, abs=0.002)
    length = min(len(pcm), len(same))
    assert abs(len(pcm) - len(same)) < 0.05 * audio.SAMPLE_RATE
    # within a period of the tone; encoders' delays are told by some containers and not by others
    best = min(
        np.abs(pcm[lag : length - 120 + lag].astype(int) - same[60 : length - 60]).mean()
        for lag in range(120)
    )
    assert best < 700


def test_the_language_of_a_track_comes_along() -> None:
    sent, _ = taken(film())
    _, clip = audio.decode(sent, LIMITS, audio.Choice(language="en"))
    assert clip.track == 1


def test_a_cut_film_is_the_servers_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = film()[: len(film()) // 2]
    assert soundtrack(Content.from_bytes(cut)) is None
    monkeypatch.setattr(_soundtrack, "MAX_WHOLE_BYTES", 1)
    _, warning = taken(cut)
    assert warning is not None
    assert "of 2.0" in warning or "damaged" in warning


@pytest.mark.parametrize("data", [b"", b"no film", b"RIFF\x24\0\0\0WAVEfmt "])
def test_what_is_no_film_is_sent_as_it_is(data: bytes) -> None:
    assert soundtrack(Content.from_bytes(data)) is None


def test_without_pyav_the_film_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert soundtrack(Content.from_bytes(film())) is None


def test_small_films_are_sent_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_soundtrack, "MIN_BYTES", 2**26)
    assert soundtrack(Content.from_bytes(film())) is None


def test_the_command_sends_the_sound(fake: Any, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    data = film()
    (tmp_path / "film.mkv").write_bytes(data)
    line = ["transcribe", str(tmp_path / "film.mkv"), "--url", server.url, "-o", str(tmp_path)]
    assert main([*line, "-f", "txt"]) == 0
    assert server.audio().startswith(b"\x1aE\xdf\xa3")
    assert len(server.audio()) < len(data) / 4

"""Sound without a header, in every coding that may be named."""

from __future__ import annotations

import typing
from fractions import Fraction

import av
import numpy as np
import pytest

from onecard import audio
from onecard.audio.encodings import ENCODINGS, Name
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from tests.onecard.audio.sounds import LIMITS, tone


def decoded(data: bytes, **options: object) -> tuple[np.ndarray, audio.Clip]:
    found = TranscribeOptions(**options)  # type: ignore[arg-type]
    assert found.sample_rate is not None
    assert found.channels is not None
    sink = audio.Blocks()
    form = found.encoding, found.sample_rate, found.channels
    clip = audio.decode_raw(data, *form, LIMITS, sink)
    return sink.pcm(), clip


def encoded(name: str, pcm: np.ndarray, sample_rate: int) -> bytes:
    encoder = av.CodecContext.create(name, "w")
    encoder.sample_rate = sample_rate
    encoder.layout = "mono"
    encoder.format = encoder.codec.audio_formats[0]
    encoder.time_base = Fraction(1, sample_rate)
    frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = sample_rate
    resampler = av.AudioResampler(encoder.format, "mono", sample_rate)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    packets = [packet for found in frames for packet in encoder.encode(found)]
    return b"".join(bytes(packet) for packet in [*packets, *encoder.encode(None)])


def test_every_name_has_a_decoder() -> None:
    names = set(typing.get_args(Name)) - {"auto"}
    assert names == set(ENCODINGS)
    assert names <= av.codecs_available


# FFmpeg encodes these but has no encoder for the others.
@pytest.mark.parametrize(
    "name", [name for name in ENCODINGS if name.startswith("pcm_") or name == "g722"]
)
def test_what_was_encoded_is_heard(name: str) -> None:
    sample_rate = ENCODINGS[name].sample_rate or 16_000
    pcm = tone(1.0, sample_rate)
    found, clip = decoded(
        encoded(name, pcm, sample_rate), encoding=name, sample_rate=sample_rate, channels=1
    )
    assert (clip.codec, clip.sample_rate, clip.channels) == (name, sample_rate, 1)
    assert len(found) == 16_000
    wanted = tone(1.0, 16_000)
    best = max(
        np.corrcoef(found[200 + shift : 15_000 + shift], wanted[200:15_000])[0, 1]
        for shift in range(60)  # G.722 delays
    )
    assert best > 0.98


def test_telephones_need_no_more_than_the_name() -> None:
    for name, coding in ENCODINGS.items():
        if coding.sample_rate is not None:
            options = TranscribeOptions(encoding=name)  # type: ignore[arg-type]
            assert (options.sample_rate, options.channels) == (coding.sample_rate, 1)
    with pytest.raises(InvalidRequest, match="`sample_rate` is missing"):
        TranscribeOptions(encoding="pcm_s24le", channels=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoding": "gsm", "channels": 2}, "`channels` is"),
        ({"encoding": "g722", "sample_rate": 8000}, "16000 with `g722`"),
        ({"encoding": "pcm_mulaw", "channels": 65}, "between 1 and 64"),
        ({"encoding": "mp3"}, "`pcm_mulaw`"),
    ],
)
def test_what_a_coding_does_not_have_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        TranscribeOptions(**options)  # type: ignore[arg-type]


def test_two_channels_of_mulaw_are_interleaved() -> None:
    loud = np.frombuffer(encoded("pcm_mulaw", tone(1.0, 8000), 8000), np.uint8)
    both = np.stack([loud, np.full_like(loud, 0xFF)], axis=1).tobytes()  # 0xFF is silence
    found, clip = decoded(both, encoding="pcm_mulaw", channels=2)
    assert (clip.channels, clip.duration_s) == (2, 1.0)
    assert np.abs(found).max() > 1000


FRAME = bytes([0xD0, *bytes(32)])  # of GSM 06.10, as its decoders know it by the first half byte


@pytest.mark.parametrize("rest", [b"", FRAME[:20]])
def test_gsm_frames_are_taken_one_by_one(rest: bytes) -> None:
    """A recording that stopped amid a frame loses that frame alone."""
    found, clip = decoded(FRAME * 50 + rest, encoding="gsm")
    assert clip.duration_s == 1.0
    assert len(found) == 16_000


@pytest.mark.parametrize("data", [b"", bytes(10)])
def test_less_than_a_frame_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"is empty|multiple of 33"):
        decoded(data, encoding="gsm")

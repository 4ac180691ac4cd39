"""Media files for tests, made with FFmpeg's own encoders."""

from __future__ import annotations

import io
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from onecard import audio

LIMITS = audio.Limits(max_audio_s=60.0, max_audio_bytes=20_000_000)
SAMPLES_JFK = Path(__file__).parents[3] / ".samples" / "jfk" / "jfk.wav"
VIDEO_RATE = 10
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def tone(duration_s: float, rate: int, hz: float = 440.0) -> np.ndarray:
    return (10_000 * np.sin(2 * np.pi * hz * np.arange(int(duration_s * rate)) / rate)).astype(
        np.int16
    )


def write(
    container: str, codec: str, rate: int, channels: int, options: dict[str, str],
    duration_s: float = 4.0, video_s: float = 0.0,
) -> bytes:  # fmt: skip
    with tempfile.NamedTemporaryFile() as out:  # `faststart` reads what it has written
        _write(out.name, container, codec, rate, channels, options, duration_s, video_s)
        return Path(out.name).read_bytes()


def _write(
    path: str, container: str, codec: str, rate: int, channels: int, options: dict[str, str],
    duration_s: float, video_s: float,
) -> None:  # fmt: skip
    with av.open(path, "w", format=container, options=options) as file:
        # Every stream has to be there before the first packet is.
        video = add_video(file) if video_s else None
        sound = file.add_stream(codec, rate=rate, layout=LAYOUTS[channels]) if codec else None
        if codec == "wmav2":  # which has no usual one
            sound.bit_rate = 128_000
        if video is not None:
            for index in range(int(video_s * VIDEO_RATE)):
                frame = av.VideoFrame(64, 64, "yuv420p")
                frame.pts = index
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
        if sound is not None:
            for frame in frames(tone(duration_s, rate), rate, channels, sound):
                file.mux(sound.encode(frame))
            file.mux(sound.encode(None))


def add_video(file):
    stream = file.add_stream("mpeg4", rate=VIDEO_RATE)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    return stream


def frames(mono: np.ndarray, rate: int, channels: int, stream) -> Iterator[av.AudioFrame]:
    interleaved = np.repeat(mono, channels)[None]
    frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=LAYOUTS[channels])
    frame.sample_rate, frame.pts = rate, 0
    fifo = av.AudioFifo()
    fifo.write(frame)
    while (part := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
        yield part


def wav(pcm: np.ndarray, rate: int = 16_000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return out.getvalue()

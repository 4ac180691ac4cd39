"""The bytes of any media file, or raw PCM, as 16 kHz mono samples, and what the source was.

It knows FFmpeg (through PyAV) and nothing of speech. Samples are those of WhisperX's `load_audio`
(`ffmpeg -ac 1 -ar 16000 -f s16le`): the same resampler of FFmpeg with its default settings.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from onecard import containers
from onecard.errors import InvalidRequest

SAMPLE_RATE = 16_000
PCM_SCALE = 32_768.0

# Raw PCM goes through the resampler in blocks of this many frames, to bound memory.
_BLOCK_FRAMES = 1 << 16
# What a file may lack at its end and still be whole: encoder delay, a last partial packet, and
# rounding in headers. The largest of them, one 120 ms Opus packet, is well below it.
_SHORTFALL_S = 0.5
# Demuxers that open other files or addresses which the bytes name, and capture devices: the sender
# of a file must not be able to read the server's. `protocol_whitelist` is the second fence.
_UNSAFE_FORMATS = {
    "concat", "dash", "hls", "hds", "image2", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp",
    "smoothstreaming", "tee", "webm_dash_manifest", "alsa", "fbdev", "kmsgrab", "oss",
    "video4linux2,v4l2", "v4l2", "x11grab", "pulse", "jack",
}  # fmt: skip
_OPEN_OPTIONS = {
    "format_whitelist": ",".join(sorted(av.formats_available - _UNSAFE_FORMATS)),
    "protocol_whitelist": "none",
}

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Clip:
    """What the source of some PCM was; `duration_s` is that of the decoded samples."""

    duration_s: float
    sample_rate: int
    channels: int
    container: str
    codec: str


@dataclass(frozen=True)
class Limits:
    """The most that a request may hold."""

    max_audio_s: float
    max_audio_bytes: int


def to_float(pcm: Pcm) -> npt.NDArray[np.float32]:
    """Samples in [-1, 1), as WhisperX and OpenAI scale them."""
    return pcm.astype(np.float32) / np.float32(PCM_SCALE)


def decode(data: bytes, limits: Limits) -> tuple[Pcm, Clip]:
    """Decode a file of any container that FFmpeg knows.

    Where a file has several audio streams, FFmpeg's choice of the best one is taken.

    Returns:
        PCM [num_samples] at 16 kHz, mono; and the source's properties.

    Raises:
        InvalidRequest: empty, not a media file, encrypted, cut off, without an audio stream or
            without samples, undecodable, or above a limit; the message says which.
    """
    _verify_size(data, limits)
    containers.verify(data)
    try:
        container = av.open(io.BytesIO(data), options=_OPEN_OPTIONS, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise InvalidRequest(
            f"AUDIO ({len(data)} bytes beginning with `{data[:8]!r}`) is no audio file that FFmpeg "
            "knows; send one, or set `encoding`, `sample_rate` and `channels` for raw PCM"
        ) from error
    with container:
        stream = _best_stream(container)
        declared_s = _declared_s(container, data)
        _verify_duration(declared_s or 0.0, limits)
        pcm, reached_s, num_bad = _decode(container, stream, limits)
        codec = stream.codec_context
        clip = Clip(
            duration_s=len(pcm) / SAMPLE_RATE, sample_rate=codec.sample_rate,
            channels=codec.channels, container=container.format.name, codec=codec.name,
        )  # fmt: skip
    _verify_whole(clip, declared_s, reached_s, num_bad)
    return pcm, clip


def decode_raw(
    data: bytes, encoding: str, sample_rate: int, channels: int, limits: Limits
) -> tuple[Pcm, Clip]:
    """PCM without a header: `encoding` is `pcm_s16le` or `pcm_f32le`, channels interleaved.

    Raises:
        InvalidRequest: empty, not a whole number of frames, not finite, or above a limit.
    """
    _verify_size(data, limits)
    dtype = np.dtype("<i2" if encoding == "pcm_s16le" else "<f4")
    frame_bytes = dtype.itemsize * channels
    if len(data) % frame_bytes:
        raise InvalidRequest(
            f"AUDIO has {len(data)} bytes, must be a multiple of {frame_bytes} "
            f"({channels} channels of `{encoding}`); check `encoding` and `channels`"
        )
    samples: npt.NDArray[Any] = np.frombuffer(data, dtype)
    _verify_duration(len(samples) / channels / sample_rate, limits)
    if dtype.kind == "f" and not np.isfinite(samples).all():
        raise InvalidRequest(
            "AUDIO has samples that are no finite numbers, must be within -1 and 1; "
            "check `encoding`"
        )
    if dtype.kind == "i" and (sample_rate, channels) == (SAMPLE_RATE, 1):
        pcm = samples.astype(np.int16)
    else:
        pcm = _resample(_raw_frames(samples, sample_rate, channels), limits)
    return pcm, Clip(len(pcm) / SAMPLE_RATE, sample_rate, channels, "raw", encoding)


def _verify_size(data: bytes, limits: Limits) -> None:
    if not data:
        raise InvalidRequest("AUDIO is empty (0 bytes), must hold an audio file; send its bytes")
    if len(data) > limits.max_audio_bytes:
        raise InvalidRequest(
            f"AUDIO has {len(data)} bytes, at most {limits.max_audio_bytes} are served; "
            "compress it (Opus or MP3 lose nothing that matters here), or split it"
        )


def _verify_duration(duration_s: float, limits: Limits) -> None:
    if duration_s > limits.max_audio_s:
        raise InvalidRequest(
            f"AUDIO lasts at least {duration_s:.1f} s, at most {limits.max_audio_s:g} s are "
            "served; split it"
        )


def _verify_whole(clip: Clip, declared_s: float | None, reached_s: float, num_bad: int) -> None:
    if clip.duration_s == 0:
        found = f"none of its {num_bad} packets can be decoded" if num_bad else "it has none"
        raise InvalidRequest(
            f"AUDIO is `{clip.codec}` in `{clip.container}`, but no sample of sound came out "
            f"({found}); send a file that plays"
        )
    reached_s = max(reached_s, clip.duration_s)
    if declared_s is not None and reached_s < declared_s - _SHORTFALL_S:
        raise InvalidRequest(
            f"AUDIO is cut off: `{clip.container}` declares {declared_s:.2f} s and the file ends "
            f"after {reached_s:.2f} s; {containers.CUT}"
        )
    if declared_s is not None and num_bad and clip.duration_s < declared_s - _SHORTFALL_S:
        raise InvalidRequest(
            f"AUDIO is damaged: {num_bad} packets cannot be decoded, which leaves "
            f"{clip.duration_s:.2f} of {declared_s:.2f} s; {containers.CUT}"
        )


def _best_stream(container: Any) -> Any:
    if not container.streams.audio:
        kinds = sorted({stream.type for stream in container.streams}) or ["no streams"]
        raise InvalidRequest(
            f"AUDIO is `{container.format.name}` with {', '.join(kinds)} and no sound; "
            "send a file that has an audio stream"
        )
    stream = container.streams.best("audio") or container.streams.audio[0]
    if stream.codec_context is None:
        raise InvalidRequest(
            "AUDIO has an audio stream of a codec that FFmpeg does not know; convert it first"
        )
    return stream


def _declared_s(container: Any, data: bytes) -> float | None:
    if container.duration is None or not containers.declares_duration(container.format.name, data):
        return None
    return float(container.duration / av.time_base)


def _decode(container: Any, stream: Any, limits: Limits) -> tuple[Pcm, float, int]:
    """(samples, the second at which the last packet of any stream ends, undecodable packets).

    Every stream is read: where a video goes on after its sound has ended, the file is whole.
    """
    reached_s = 0.0
    num_bad = 0

    def frames() -> Iterator[Any]:
        nonlocal reached_s, num_bad
        packets = container.demux()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the container ends in the middle of something
                num_bad += 1
                return
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                reached_s = max(reached_s, float(end))
            if packet.stream is not stream:
                continue
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                num_bad += 1

    return _resample(frames(), limits), reached_s, num_bad


def _raw_frames(samples: npt.NDArray[Any], sample_rate: int, channels: int) -> Iterator[Any]:
    kind = "s16" if samples.dtype.kind == "i" else "flt"
    for start in range(0, len(samples), _BLOCK_FRAMES * channels):
        block = samples[start : start + _BLOCK_FRAMES * channels].reshape(1, -1)
        layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format=kind, layout=layout)
        frame.sample_rate = sample_rate
        yield frame


def _resample(frames: Iterator[Any], limits: Limits) -> Pcm:
    """Every frame through FFmpeg's resampler; memory is that of the result and one frame.

    A stream may change its rate or layout on the way: a new resampler takes over from there.
    """
    samples = bytearray()
    resampler: Any = None
    form: tuple[Any, ...] = ()
    for frame in frames:
        frame.pts = None  # gaps stay as they are stored, as with the command line
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != form:
            _drain(resampler, None, samples)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            form = found
        _drain(resampler, frame, samples)
        _verify_duration(len(samples) / 2 / SAMPLE_RATE, limits)
    _drain(resampler, None, samples)
    return np.frombuffer(samples, np.int16)


def _drain(resampler: Any, frame: Any, samples: bytearray) -> None:
    for done in resampler.resample(frame) if resampler is not None else ():
        samples += done.to_ndarray().tobytes()

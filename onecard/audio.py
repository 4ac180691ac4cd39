"""The bytes of any media file, or raw PCM, as 16 kHz mono samples, and what the source was.

It knows FFmpeg (through PyAV) and nothing of speech. Samples are those of WhisperX's `load_audio`
(`ffmpeg -ac 1 -ar 16000 -f s16le`): the same resampler of FFmpeg with its default settings.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt

from onecard import containers
from onecard.errors import InvalidRequest

SAMPLE_RATE = 16_000
PCM_SCALE = 32_768.0

# Raw PCM is taken in blocks of this many frames, to bound memory.
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
Source = bytes | BinaryIO  # a BinaryIO has a file descriptor; nothing of it is read before 0
Sink = Callable[[Pcm], object]  # is handed the samples block by block


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


NO_SAMPLES: Pcm = np.zeros(0, np.int16)


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


def decode(data: bytes, limits: Limits) -> tuple[Pcm, Clip]:
    """PCM [num_samples] and what `decode_into` says of it."""
    blocks = [NO_SAMPLES]
    clip = decode_into(data, limits, blocks.append)
    return np.concatenate(blocks), clip


def decode_into(source: Source, limits: Limits, sink: Sink) -> Clip:
    """Decode a file of any container that FFmpeg knows; memory is that of one frame.

    Where a file has several audio streams, FFmpeg's choice of the best one is taken.

    Args:
        sink: gets samples at 16 kHz, mono, also those before an error.

    Returns:
        The source's properties.

    Raises:
        InvalidRequest: empty, not a media file, encrypted, cut off, without an audio stream or
            without samples, undecodable, or above a limit; the message says which.
    """
    data, file = _opened(source, limits)
    containers.verify(data)
    try:
        container = av.open(file, options=_OPEN_OPTIONS, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise InvalidRequest(
            f"AUDIO ({len(data)} bytes beginning with `{data[:8]!r}`) is no audio file that FFmpeg "
            "knows; send one, or set `encoding`, `sample_rate` and `channels` for raw PCM"
        ) from error
    with container:
        stream = _best_stream(container)
        declared_s = _declared_s(container, data)
        _verify_duration(declared_s or 0.0, limits)
        num_samples, reached_s, num_bad = _decode(container, stream, limits, sink)
        codec = stream.codec_context
        clip = Clip(
            duration_s=num_samples / SAMPLE_RATE, sample_rate=codec.sample_rate,
            channels=codec.channels, container=container.format.name, codec=codec.name,
        )  # fmt: skip
    _verify_whole(clip, declared_s, reached_s, num_bad)
    return clip


def decode_raw(
    source: Source, encoding: str, sample_rate: int, channels: int, limits: Limits, sink: Sink
) -> Clip:
    """PCM without a header: `encoding` is `pcm_s16le` or `pcm_f32le`, channels interleaved.

    Raises:
        InvalidRequest: empty, not a whole number of frames, not finite, or above a limit.
    """
    data, _ = _opened(source, limits)
    dtype = np.dtype("<i2" if encoding == "pcm_s16le" else "<f4")
    frame_bytes = dtype.itemsize * channels
    if len(data) % frame_bytes:
        raise InvalidRequest(
            f"AUDIO has {len(data)} bytes, must be a multiple of {frame_bytes} "
            f"({channels} channels of `{encoding}`); check `encoding` and `channels`"
        )
    samples: npt.NDArray[Any] = np.frombuffer(data, dtype)
    _verify_duration(len(samples) / channels / sample_rate, limits)
    blocks = _raw_blocks(samples, channels)
    if dtype.kind == "i" and (sample_rate, channels) == (SAMPLE_RATE, 1):
        for block in blocks:
            sink(block.astype(np.int16))
        num_samples = len(samples)
    else:
        num_samples = _resample(_raw_frames(blocks, sample_rate, channels), limits, sink)
    return Clip(num_samples / SAMPLE_RATE, sample_rate, channels, "raw", encoding)


def _opened(source: Source, limits: Limits) -> tuple[containers.Data, BinaryIO]:
    """The bytes of `source`, those of a file as a map of it, and `source` as a file."""
    if isinstance(source, bytes):
        _verify_size(len(source), limits)
        return source, io.BytesIO(source)
    _verify_size(source.seek(0, io.SEEK_END), limits)
    source.seek(0)
    return mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ), source


def _verify_size(num_bytes: int, limits: Limits) -> None:
    if not num_bytes:
        raise InvalidRequest("AUDIO is empty (0 bytes), must hold an audio file; send its bytes")
    if num_bytes > limits.max_audio_bytes:
        raise InvalidRequest(
            f"AUDIO has {num_bytes} bytes, at most {limits.max_audio_bytes} are served; "
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


def _declared_s(container: Any, data: containers.Data) -> float | None:
    if container.duration is None or not containers.declares_duration(container.format.name, data):
        return None
    return float(container.duration / av.time_base)


def _decode(container: Any, stream: Any, limits: Limits, sink: Sink) -> tuple[int, float, int]:
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

    return _resample(frames(), limits, sink), reached_s, num_bad


def _raw_blocks(samples: npt.NDArray[Any], channels: int) -> Iterator[npt.NDArray[Any]]:
    """Raises InvalidRequest at the first block with a sample that is no finite number."""
    for start in range(0, len(samples), _BLOCK_FRAMES * channels):
        block = samples[start : start + _BLOCK_FRAMES * channels]
        if not np.isfinite(block).all():
            raise InvalidRequest(
                "AUDIO has samples that are no finite numbers, must be within -1 and 1; "
                "check `encoding`"
            )
        yield block


def _raw_frames(
    blocks: Iterator[npt.NDArray[Any]], sample_rate: int, channels: int
) -> Iterator[Any]:
    layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")
    for block in blocks:
        kind = "s16" if block.dtype.kind == "i" else "flt"
        interleaved = np.ascontiguousarray(block.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(interleaved, format=kind, layout=layout)
        frame.sample_rate = sample_rate
        yield frame


def _resample(frames: Iterator[Any], limits: Limits, sink: Sink) -> int:
    """Every frame through FFmpeg's resampler; the number of samples.

    A stream may change its rate or layout on the way: a new resampler takes over from there.
    """
    num_samples = 0
    resampler: Any = None
    form: tuple[Any, ...] = ()
    for frame in frames:
        frame.pts = None  # gaps stay as they are stored, as with the command line
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != form:
            num_samples += _drain(resampler, None, sink)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            form = found
        num_samples += _drain(resampler, frame, sink)
        _verify_duration(num_samples / SAMPLE_RATE, limits)
    return num_samples + _drain(resampler, None, sink)


def _drain(resampler: Any, frame: Any, sink: Sink) -> int:
    num_samples = 0
    for done in resampler.resample(frame) if resampler is not None else ():
        block = done.to_ndarray()[0]
        sink(block)
        num_samples += len(block)
    return num_samples

"""A media file opened by FFmpeg: its recordings, its audio tracks, the frames of one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import av
import langcodes

from onecard.audio.containers import asf, headers, parts
from onecard.audio.containers.parts import Part
from onecard.audio.containers.walker import Data
from onecard.audio.decoding.mixdown import Mixdown, Seen, Treatment
from onecard.audio.decoding.timeline import MIN_EXACT_GAP_S, MIN_GAP_S, Timeline, origin_s
from onecard.audio.pcm import Sink, verify_duration
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import InvalidRequest, clipped

# Demuxers that open other files or addresses which the bytes name, and capture devices: the sender
# of a file must not be able to read the server's. `protocol_whitelist` is the second fence.
_UNSAFE_FORMATS = {
    "concat", "dash", "hls", "hds", "image2", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp",
    "smoothstreaming", "tee", "webm_dash_manifest", "alsa", "fbdev", "kmsgrab", "oss",
    "video4linux2,v4l2", "v4l2", "x11grab", "pulse", "jack",
}  # fmt: skip
# Formats of bare frames whose time stamps FFmpeg counts, and which hand over what is no frame.
_COUNTED = {"mp3"}
# Formats whose stamps count samples, so that a gap is a loss however short. Those of raw AAC do as
# well, but by a rate that its header need not tell (SBR): there, only behind a lost packet.
_EXACT, _EXACT_IF_TORN = {"flac"}, {"aac"}
_OPEN_OPTIONS = {
    "format_whitelist": ",".join(sorted(av.formats_available - _UNSAFE_FORMATS)),
    "protocol_whitelist": "none",
}
_MAX_TRACKS_LETTERS = 400  # of a sentence that names all tracks


@dataclass
class Pass:
    """The outcome of decoding a track."""

    track: int
    seen: Seen = field(default_factory=Seen)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    reached_s: float = 0.0  # where the last packet of any stream ends
    declared_s: float | None = 0.0
    is_exact: bool = False  # its times and its declared length count samples
    is_stopped: bool = False  # behind what is wanted, ahead of its end
    num_bad: int = 0  # packets that cannot be decoded
    sample_rate: int = 0
    channels: int = 0
    container: str = ""
    codec: str = ""

    @property
    def damage(self) -> str:
        """What is wrong with the sound that is there, in words; empty where nothing is."""
        if self.num_bad:
            return f"{self.num_bad} packets cannot be decoded"
        return "some of its samples are lost" if self.is_exact and self.gaps else ""


class Media:
    """The recordings in a file, one or several, decoded one after the other.

    Args:
        data: the bytes of `file`.
        until_s: what comes behind is not wanted.

    Attributes:
        cut: what the end of the file lacks, where its header tells.
        num_tracks: of audio.

    Raises:
        InvalidRequest: not a media file, encrypted, or without an audio stream.
    """

    def __init__(
        self, data: Data, file: BinaryIO, max_audio_s: float, until_s: float = math.inf
    ) -> None:
        self._data = data
        self._file = file
        self._parts = parts.split(data)
        self._max_audio_s = max_audio_s
        self._until_s = until_s
        whole: Any = data if len(self._parts) == 1 else memoryview(data)[self._parts[-1].start :]
        self.cut = headers.cut(whole)
        with self._opened(self._parts[0]) as container:
            audio = list(container.streams.audio)
            self._default = audio.index(_best_stream(container))
            self._languages = [_language(stream) for stream in audio]
        self.num_tracks = len(audio)

    def warnings(self) -> list[str]:
        """Warnings about the file as a whole."""
        found = []
        num_recordings = sum(not part.lost_s for part in self._parts)
        if num_recordings > 1:
            found.append(f"the file holds {num_recordings} recordings, one behind the other")
        for part in self._parts:
            if part.num_unsaid:
                found.append(
                    f"its header leaves out {part.num_unsaid} bytes of samples at the end; they "
                    "were taken"
                )
        return found

    @property
    def tracks(self) -> str:
        """Numbers and languages of the audio tracks, in words."""
        names = [f"{i}: {name or 'no language'}" for i, name in enumerate(self._languages)]
        return clipped(", ".join(names), _MAX_TRACKS_LETTERS)

    def track(self, number: int | None, language: str | None) -> int:
        """The number of the track to take: `number`, one in `language`, or a player's choice.

        Raises:
            InvalidRequest: there is no track `number`.
        """
        if number is None:
            is_other = language and self._languages[self._default] != language
            if is_other and language in self._languages:
                return self._languages.index(language)
            return self._default
        if number >= self.num_tracks:
            raise InvalidRequest(
                f"option `audio_track` is {number}, the file has {self.num_tracks} "
                f"({self.tracks}), counted from 0; choose one of them"
            )
        return number

    def run(self, track: int, treatment: Treatment, sink: Sink) -> Pass:
        """Decode `track` into `sink`.

        Raises:
            InvalidRequest: more than the limit, or a stream that FFmpeg cannot decode.
        """
        done = Pass(track)
        mixdown = Mixdown(treatment, sink)
        for part in self._parts:
            if part.lost_s:
                self._silence(part.lost_s, done, mixdown)
            if part.start == part.end:
                continue
            with self._opened(part) as container:
                self._run_part(container, done, mixdown)
            if done.is_stopped:
                break
        done.seen = mixdown.end()
        return done

    def _silence(self, duration_s: float, done: Pass, mixdown: Mixdown) -> None:
        """What was lost between two parts."""
        start_s = mixdown.seen.num_samples / SAMPLE_RATE
        verify_duration(start_s + duration_s, self._max_audio_s)
        mixdown.silence(duration_s)
        done.gaps.append((start_s, start_s + duration_s))
        done.num_bad += 1

    def _run_part(self, container: Any, done: Pass, mixdown: Mixdown) -> None:
        stream = container.streams.audio[min(done.track, len(container.streams.audio) - 1)]
        _verify_codec(stream)
        if container.format.name == "flac":  # else a frame that fails its checksum is noise
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        declared_s = self._declared_s(container)
        if self.cut is None:
            verify_duration(declared_s or 0.0, self._max_audio_s)
        base_s = mixdown.seen.num_samples / SAMPLE_RATE
        origin = origin_s(container, stream)
        done.is_exact = container.format.name in _EXACT
        timeline = Timeline(origin, None if declared_s is None else origin + declared_s)
        reading = _Frames(container, stream)
        for frame in reading.frames():
            timeline.min_gap_s = reading.min_gap_s
            if gap_s := timeline.gap_s(frame, reading.late_s):
                heard_s = mixdown.seen.num_samples / SAMPLE_RATE
                verify_duration(heard_s + gap_s, self._max_audio_s)  # ahead of making it
                mixdown.silence(gap_s)
            mixdown.push(frame)
            heard_s = mixdown.seen.num_samples / SAMPLE_RATE
            verify_duration(heard_s, self._max_audio_s)
            if heard_s >= self._until_s:
                done.is_stopped = True
                break
        done.gaps += [(base_s + a, base_s + b) for a, b in timeline.gaps]
        done.reached_s += max(0.0, reading.reached_s - max(0.0, origin))
        done.num_bad += reading.num_bad
        if done.declared_s is not None:
            done.declared_s = None if declared_s is None else done.declared_s + declared_s
        codec = stream.codec_context
        done.sample_rate, done.channels = codec.sample_rate, codec.channels
        done.container, done.codec = container.format.name, codec.name

    def _opened(self, part: Part) -> Any:
        # Its bytes, unlike those of the map, take no memory of this process.
        file: Any = self._file
        if (part.start, part.end) != (0, len(self._data)):
            file = parts.window(self._data, part)
        file.seek(0)
        try:
            return av.open(
                file, format=part.format, options=_OPEN_OPTIONS | part.options,
                metadata_errors="ignore",
            )  # fmt: skip
        except (av.error.FFmpegError, ValueError) as error:
            begin = bytes(self._data[part.start : part.start + 8])
            raise InvalidRequest(
                f"AUDIO ({len(self._data)} bytes beginning with `{begin!r}`) is no audio file that "
                "FFmpeg knows; send one, or set `encoding`, `sample_rate` and `channels` for raw "
                "PCM"
            ) from error

    def _declared_s(self, container: Any) -> float | None:
        name = container.format.name
        if name == "asf":
            return asf.declared(self._data).duration_s or None
        if container.duration is None or not headers.declares_duration(name, self._data):
            return None
        return float(container.duration / av.time_base)


class _Frames:
    """The frames of `stream`, and how far all streams reach.

    Every stream is read: where a video goes on after its sound has ended, the file is whole.
    Attribute `late_s`: by how much the frames that come now are later than their stamps. Formats
    without stamps of their own have them counted by FFmpeg, and bytes in which it finds no frame,
    all of which it makes one packet of, count as one frame.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._format = container.format.name
        self._is_torn = False  # the packet ahead of the frames that come now cannot be decoded
        self._num_bytes = self._num_packets = 0
        self.reached_s = 0.0
        self.late_s = 0.0
        self.num_bad = 0

    @property
    def min_gap_s(self) -> float:
        """The shortest gap ahead of the frames that come now."""
        names = _EXACT | _EXACT_IF_TORN if self._is_torn else _EXACT
        return MIN_EXACT_GAP_S if self._format in names else MIN_GAP_S

    def frames(self) -> Iterator[Any]:
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the container ends in the middle of something
                self.num_bad += 1
                return
            if packet.stream is not self._stream:
                self._reach(packet)
                continue
            try:
                yield from packet.decode()
                self._is_torn = False
                self._reach(packet)
                self._num_bytes += packet.size
                self._num_packets += packet.size > 0
            except av.error.FFmpegError:
                self.num_bad += 1
                self._is_torn = True
                self.late_s += self._uncounted_s(packet)

    def _reach(self, packet: Any) -> None:
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self.reached_s = max(self.reached_s, float(end) + self.late_s)

    def _uncounted_s(self, packet: Any) -> float:
        """Seconds that the bytes of a packet without a frame lasted, and its stamp does not say."""
        if self._format not in _COUNTED or not self._num_packets or packet.duration is None:
            return 0.0
        num_frames = round(packet.size * self._num_packets / self._num_bytes)
        return float(max(0, num_frames - 1) * packet.duration * packet.time_base)


def _best_stream(container: Any) -> Any:
    if not container.streams.audio:
        kinds = sorted({stream.type for stream in container.streams}) or ["no streams"]
        raise InvalidRequest(
            f"AUDIO is `{container.format.name}` with {', '.join(kinds)} and no sound; "
            "send a file that has an audio stream"
        )
    return container.streams.best("audio") or container.streams.audio[0]


def _verify_codec(stream: Any) -> None:
    if stream.codec_context is None:
        raise InvalidRequest(
            "AUDIO has an audio stream of a codec that FFmpeg does not know; convert it first"
        )


def _language(stream: Any) -> str:
    """The track's language as Whisper names it (`fre` is `fr`); empty where it says none."""
    tag = stream.language
    if not tag or tag == "und":
        return ""
    try:
        return langcodes.get(tag).language or ""
    except ValueError:
        return str(tag)

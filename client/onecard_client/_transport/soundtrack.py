"""The sound of a film, taken out of its file as it is, so that the pictures need not be sent.

Needs PyAV; without it the whole file is sent.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from onecard_client._transport.content import Content

# Sending less than this takes no time, and then the server sees the file as it is.
MIN_BYTES = 64 * 2**20
# Larger files are not taken by servers as they come (`max_audio_bytes`), so that the sound of a
# damaged one is better than nothing.
MAX_WHOLE_BYTES = 2_000_000_000
# A recording that ends so much before its declared end is cut off, which the server had better see.
_SHORTFALL_S = 0.5
_OPEN = {"protocol_whitelist": "none"}
_BUFFER_BYTES = 2**20


@dataclass(frozen=True)
class Soundtrack:
    """The sound of a film.

    Attributes:
        content: a Matroska file.
        warning: what the film lacks.
    """

    content: Content
    warning: str | None = None


@dataclass
class _Copied:
    """How far copying came, in seconds from the beginning; `problem` in words."""

    declared_s: float
    reached_s: float = 0.0
    problem: str | None = None

    def warning(self) -> str | None:
        if self.problem:
            return f"the film is damaged ({self.problem}) after {self.reached_s:.2f} s"
        if self.reached_s < self.declared_s - _SHORTFALL_S:
            return f"the film ends after {self.reached_s:.2f} of {self.declared_s:.2f} s"
        return None


def soundtrack(content: Content) -> Soundtrack | None:
    """All audio tracks of a large film, in a temporary file.

    The first picture goes along, because the time line begins with it: sound that begins later
    than the picture still does.

    Returns:
        None where there is nothing to gain, where something is wrong with a file that can be sent
        whole, as the server judges better, or where PyAV is not installed.
    """
    if len(content) < MIN_BYTES:
        return None
    try:
        import av
    except ImportError:
        return None
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the content
    try:
        copied = _copy(av, content, file)
        file.seek(0)
        found = Content(file, is_owned=True)
        warning = copied.warning() if copied else None
        is_better = warning is None or len(content) > MAX_WHOLE_BYTES
        if copied and is_better and 0 < len(found) < len(content):
            return Soundtrack(found, warning)
    except (av.FFmpegError, OSError, ValueError, OverflowError):
        pass  # such as a codec that Matroska does not have
    file.close()
    return None


def _copy(av: Any, content: Content, file: BinaryIO) -> _Copied | None:
    """The audio packets of a film to `file`; None for what is no film."""
    with _opened(av, content) as source:
        pictures = [stream for stream in source.streams.video if not _is_cover(stream)]
        if not pictures or not source.streams.audio or source.duration is None:
            return None
        copied = _Copied(source.duration / av.time_base)
        with av.open(file, "w", format="matroska") as target:
            streams = {}
            for stream in [*source.streams.audio, pictures[0]]:
                copy = target.add_stream_from_template(stream)
                copy.metadata.update(stream.metadata)  # its language
                copy.disposition = stream.disposition  # whether players take it
                streams[stream.index] = copy
            try:
                _mux(source, target, streams, pictures[0].index, copied)
            except (av.FFmpegError, OSError) as error:
                copied.problem = str(error)
    return copied


def _mux(source: Any, target: Any, streams: dict[int, Any], picture: int, copied: _Copied) -> None:
    is_shown = False
    start_s = (source.start_time or 0) / 1_000_000
    for packet in source.demux():
        if packet.dts is None:
            continue
        if packet.is_corrupt:
            copied.problem = copied.problem or "a packet is corrupt"
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            copied.reached_s = max(copied.reached_s, float(end) - start_s)
        index = packet.stream.index
        if index not in streams or (index == picture and is_shown):
            continue
        is_shown = is_shown or index == picture
        packet.stream = streams[index]
        target.mux(packet)


@contextlib.contextmanager
def _opened(av: Any, content: Content) -> Iterator[Any]:
    with av.open(_Reader(content), "r", options=_OPEN, buffer_size=_BUFFER_BYTES) as source:
        yield source


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


class _Reader(io.RawIOBase):
    """Content as FFmpeg reads it."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        end = len(self._content) if size < 0 else self._position + size
        data = self._content[self._position : end]
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._content)}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

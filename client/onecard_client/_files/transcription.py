"""One recording, from its file to its results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecard_client._clients.blocking import Client
from onecard_client._files.recording import Recording
from onecard_client._output.console import plural
from onecard_client._output.names import STDIN, extension, is_address
from onecard_client._output.results import write_results
from onecard_client._transport import telephony
from onecard_client._transport.content import Content
from onecard_client._transport.fetch import fetched
from onecard_client._transport.soundtrack import soundtrack
from onecard_client._transport.source import read_audio
from onecard_client.events import Progress
from onecard_client.subtitles import SubtitleLayout
from onecard_client.transcript import Transcript

_BEGINNING_BYTES = 16
Say = Callable[[str], object]


@dataclass(frozen=True)
class Settings:
    """What all recordings of a run have in common.

    Attributes:
        request: options of the server.
        timeout_s: time for one recording; None for no limit.
        output_dir: the folder of all results.
    """

    request: Mapping[str, Any]
    timeout_s: float | None
    output_dir: Path
    output_format: str
    layout: SubtitleLayout


@dataclass(frozen=True)
class Done:
    """A recording with its results on disk.

    Attributes:
        elapsed_s: from reading its file to having written its results.
    """

    recording: Recording
    transcript: Transcript
    paths: list[Path]
    elapsed_s: float

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.transcript.duration_s / self.elapsed_s if self.elapsed_s > 0 else 0.0


def transcribe(
    client: Client,
    recording: Recording,
    settings: Settings,
    on_progress: Callable[[Progress], object],
    say: Say,
) -> Done:
    """Transcribes a recording and writes its results; what is worth a note goes to `say`.

    Raises:
        OnecardError: as `Client.transcribe` raises it.
        OSError: the recording cannot be read, or a result cannot be written.
    """
    started_s = time.monotonic()
    with _content(recording, settings, say) as content:
        implied = _telephone_options(recording, content, settings.request, say)
        transcript = client.transcribe(
            content,
            timeout_s=settings.timeout_s,
            on_progress=on_progress,
            **{**implied, **settings.request},
        )
    paths = write_results(
        transcript, recording.folder, recording.stem, settings.output_format, settings.layout
    )
    return Done(recording, transcript, paths, time.monotonic() - started_s)


@contextmanager
def _content(recording: Recording, settings: Settings, say: Say) -> Iterator[Content]:
    """The content to send of a recording: of a large film only the sound."""
    with _whole(recording.file, settings.timeout_s) as content:
        is_file = settings.request.get("encoding", "auto") == "auto"
        sound = soundtrack(content) if is_file else None
        if sound is None:
            yield content
            return
        if sound.warning:
            say(f"{recording.name}: warning: {sound.warning}; its sound is sent so far")
        with sound.content as content:
            yield content


def _whole(file: str, timeout_s: float | None) -> Content:
    if is_address(file):
        return fetched(file, timeout_s)
    return read_audio(sys.stdin.buffer if file == STDIN else file)


def _telephone_options(
    recording: Recording, content: Content, given: Mapping[str, Any], say: Say
) -> dict[str, Any]:
    """The options that a telephone system's extension implies, unless the caller gives them."""
    if "encoding" in given:
        return {}
    found = telephony.request_options(extension(recording.file), content[:_BEGINNING_BYTES])
    if found:
        said = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in found.items())
        say(f"{recording.name}: taken for sound without a header, {said}")
    return found


def summary(done: Done) -> str:
    """A line for people."""
    transcript = done.transcript
    parts = [f"{transcript.duration_s:.1f} s of audio", f"language {_language(transcript)}"]
    if transcript.turns is not None:
        parts.append(plural(len(transcript.speakers), "speaker"))
    parts.append(f"{done.elapsed_s:.1f} s ({done.speed:.1f}x real time)")
    return f"{done.recording.name}: {', '.join(parts)}"


def _language(transcript: Transcript) -> str:
    """The server names a language also where nothing was spoken and none was asked for."""
    was_told = transcript.options.get("language") is not None
    is_known = was_told or transcript.language_probability is not None
    return transcript.language if is_known else "unknown"

"""`onecard transcribe`: recordings to files of text, one after another."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from onecard_client._cli import layout_options, transcribe_options
from onecard_client._cli.transcribe_options import EPILOG, request_options
from onecard_client._client import Client
from onecard_client._errors import ConnectionFailed, OnecardError
from onecard_client._output.console import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    complain,
    plural,
    printable,
)
from onecard_client._output.names import STDIN, extension, is_address, output_stems, shown
from onecard_client._output.progress import display
from onecard_client._output.results import extensions, verify_directory, write_results
from onecard_client._transport import telephony
from onecard_client._transport.content import Content
from onecard_client._transport.fetch import fetched
from onecard_client._transport.soundtrack import soundtrack
from onecard_client._transport.source import read_audio
from onecard_client.transcript import Transcript

verify = transcribe_options.verify
_BEGINNING_BYTES = 16


@dataclass(frozen=True)
class _Recording:
    """One recording to transcribe.

    Attributes:
        file: a path, an address, or STDIN.
        name: `file` for people.
        stem: of its results.
    """

    file: str
    name: str
    stem: str


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "transcribe",
        help="transcribe audio files",
        usage="onecard transcribe [OPTION ...] FILE [FILE ...]",
        description="Transcribe audio or video files and write the results beside each other.",
        epilog=EPILOG,
    )
    transcribe_options.add(parser)
    return parser


def run(client: Client, options: argparse.Namespace) -> int:
    """Whatever can be seen to fail is said before the first recording is sent."""
    try:
        verify_directory(options.output_dir)
    except OSError as error:
        complain(f"{shown(str(options.output_dir))}: {_reason(error, str(options.output_dir))}")
        return EXIT_FAILED
    recordings, num_failed = _recordings(options)
    try:
        voices = _voices(client, options) if recordings else {}
    except ConnectionFailed as error:
        complain(str(error))
        return EXIT_UNREACHABLE
    except (OnecardError, OSError) as error:
        complain(f"--speaker: {error}; nothing was transcribed")
        return EXIT_FAILED
    for number, recording in enumerate(recordings, 1):
        try:
            _transcribe(client, recording, options, voices)
        except BrokenPipeError:  # nobody reads what is said any more
            raise
        except (OnecardError, OSError) as error:
            complain(f"{recording.name}: {_reason(error, recording.file)}")
            num_failed += 1
            if isinstance(error, ConnectionFailed) and not _answers(client):
                _tell_untried([untried.name for untried in recordings[number:]])
                return EXIT_UNREACHABLE
    if num_failed and len(options.files) > 1:
        complain(f"{num_failed} of {len(options.files)} files failed")
    return EXIT_FAILED if num_failed else EXIT_OK


def _voices(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """The server's option of the voices that have names."""
    known = {name: list(client.voice(file, timeout_s=options.timeout_s))
             for name, file in options.voices}  # fmt: skip
    return {"known_speakers": known} if known else {}


def _tell_untried(names: list[str]) -> None:
    if names:
        complain(f"not tried: {', '.join(names)}")


def _recordings(options: argparse.Namespace) -> tuple[list[_Recording], int]:
    """The recordings that can be read, once each, and how many cannot."""
    if options.verbose:
        for note in transcribe_options.notes(options):
            complain(note)
    readable = [file for file in options.files if _is_readable(file)]
    num_failed = len(options.files) - len(readable)
    files = list({_identity(file): file for file in reversed(readable)}.values())[::-1]
    if len(files) < len(readable):
        complain(f"{plural(len(readable) - len(files), 'file')} given again; transcribed once")
    ends = extensions(options.output_format)
    stems, notes = output_stems(files, options.output_dir, ends)
    for note in notes:
        complain(note)
    found = [_Recording(file, shown(file), stem) for file, stem in zip(files, stems, strict=True)]
    return found, num_failed


def _identity(file: str) -> str:
    return file if file == STDIN or is_address(file) else os.path.realpath(file)


def _is_readable(file: str) -> bool:
    if file == STDIN or is_address(file):
        return True
    try:
        os.stat(file)
    except OSError as error:
        complain(f"{shown(file)}: {_reason(error, file)}")
        return False
    if os.path.isdir(file) or not os.access(file, os.R_OK):
        reason = "Is a directory" if os.path.isdir(file) else "Permission denied"
        complain(f"{shown(file)}: {reason}")
        return False
    return True


def _answers(client: Client) -> bool:
    """Whether a lost connection was one file's misfortune and the others may be tried."""
    try:
        return client.health().live
    except OnecardError:
        return False


def _transcribe(
    client: Client, recording: _Recording, options: argparse.Namespace, voices: dict[str, Any]
) -> None:
    started_s = time.monotonic()
    with _content(recording, options) as content:
        transcript = _follow(client, recording, content, options, voices)
    paths = write_results(
        transcript,
        options.output_dir,
        recording.stem,
        options.output_format,
        layout_options.layout(options),
    )
    for warning in [*transcript.warnings, *_unheard(transcript)]:
        complain(f"{recording.name}: warning: {warning}")
    if options.verbose:
        names = " ".join(shown(str(path)) for path in paths)
        summary = _summary(recording.name, transcript, time.monotonic() - started_s)
        print(printable(f"{summary} -> {names}"), flush=True)


def _unheard(transcript: Transcript) -> list[str]:
    """What to say of people whose voices were given and not found."""
    return [
        f"nobody with the voice of {one.name} was found; the nearest is at a distance of "
        f"{one.distance}, must be within {one.max_distance:g} (--known-speaker-distance)"
        for one in transcript.known_speakers or ()
        if not one.found
    ]


@contextmanager
def _content(recording: _Recording, options: argparse.Namespace) -> Iterator[Content]:
    """The content to send of a recording: of a large film only the sound."""
    with _whole(recording.file, options.timeout_s) as content:
        is_file = getattr(options, "encoding", "auto") == "auto"
        sound = soundtrack(content) if is_file else None
        if sound is None:
            yield content
            return
        if sound.warning:
            complain(f"{recording.name}: warning: {sound.warning}; its sound is sent so far")
        with sound.content as content:
            yield content


def _whole(file: str, timeout_s: float | None) -> Content:
    if is_address(file):
        return fetched(file, timeout_s)
    return read_audio(sys.stdin.buffer if file == STDIN else file)


def _telephone_options(
    recording: _Recording, content: Content, given: dict[str, Any]
) -> dict[str, Any]:
    """The options that a telephone system's extension implies, unless the caller gives them."""
    if "encoding" in given:
        return {}
    found = telephony.request_options(extension(recording.file), content[:_BEGINNING_BYTES])
    if found:
        said = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in found.items())
        complain(f"{recording.name}: taken for sound without a header, {said}")
    return found


def _follow(
    client: Client,
    recording: _Recording,
    content: Content,
    options: argparse.Namespace,
    voices: dict[str, Any],
) -> Transcript:
    given = request_options(options) | voices
    given = _telephone_options(recording, content, given) | given
    progress = display(recording.name, wanted=options.print_progress, verbose=options.verbose)
    try:
        return client.transcribe(
            content, timeout_s=options.timeout_s, on_progress=progress.show, **given
        )
    finally:
        progress.clear()


def _summary(name: str, transcript: Transcript, elapsed_s: float) -> str:
    speed = transcript.duration_s / elapsed_s if elapsed_s > 0 else 0.0
    parts = [f"{transcript.duration_s:.1f} s of audio", f"language {_language(transcript)}"]
    if transcript.turns is not None:
        parts.append(plural(len(transcript.speakers), "speaker"))
    parts.append(f"{elapsed_s:.1f} s ({speed:.1f}x real time)")
    return f"{name}: {', '.join(parts)}"


def _language(transcript: Transcript) -> str:
    """The server names a language also where nothing was spoken and none was asked for."""
    was_told = transcript.options.get("language") is not None
    is_known = was_told or transcript.language_probability is not None
    return transcript.language if is_known else "unknown"


def _reason(error: Exception, file: str) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    elsewhere = error.filename is not None and str(error.filename) != file
    return f"{error.strerror}: `{shown(str(error.filename))}`" if elsewhere else error.strerror

"""`onecard transcribe`: recordings to files of text, one after another.

It knows what the user sees; the work is the client's.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

from onecard_client import _transcribe_options
from onecard_client._client import Client
from onecard_client._console import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    complain,
    plural,
)
from onecard_client._errors import ConnectionFailed, OnecardError
from onecard_client._output import verify_directory, write_results
from onecard_client._progress import display
from onecard_client._transcribe_options import EPILOG, STDIN, output_stem, request_options
from onecard_client.events import Progress
from onecard_client.subtitles import SubtitleLayout
from onecard_client.transcript import Transcript

verify = _transcribe_options.verify


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "transcribe",
        help="transcribe audio files",
        usage="onecard transcribe [OPTION ...] FILE [FILE ...]",
        description="Transcribe audio or video files and write the results beside each other.",
        epilog=EPILOG,
    )
    _transcribe_options.add(parser)
    return parser


def run(client: Client, options: argparse.Namespace) -> int:
    """Whatever can be seen to fail is said before the first recording is sent."""
    try:
        verify_directory(options.output_dir)
    except OSError as error:
        complain(f"{options.output_dir}: {_reason(error, str(options.output_dir))}")
        return EXIT_FAILED
    files = [file for file in options.files if _is_readable(file)]
    num_failed = len(options.files) - len(files)
    for file in files:
        try:
            _transcribe_file(client, file, options)
        except BrokenPipeError:  # nobody reads what is said any more
            raise
        except (OnecardError, OSError) as error:
            complain(f"{file}: {_reason(error, file)}")
            num_failed += 1
            if isinstance(error, ConnectionFailed) and not _answers(client):
                return EXIT_UNREACHABLE
    if num_failed and len(options.files) > 1:
        complain(f"{num_failed} of {len(options.files)} files failed")
    return EXIT_FAILED if num_failed else EXIT_OK


def _is_readable(file: str) -> bool:
    if file == STDIN:
        return True
    try:
        os.stat(file)
    except OSError as error:
        complain(f"{file}: {_reason(error, file)}")
        return False
    if os.path.isdir(file) or not os.access(file, os.R_OK):
        complain(f"{file}: {'Is a directory' if os.path.isdir(file) else 'Permission denied'}")
        return False
    return True


def _answers(client: Client) -> bool:
    """Whether a lost connection was one file's misfortune and the others may be tried."""
    try:
        return client.health().live
    except OnecardError:
        return False


def _transcribe_file(client: Client, file: str, options: argparse.Namespace) -> None:
    started_s = time.monotonic()
    transcript = _follow(client, file, options)
    layout = SubtitleLayout(
        options.max_line_width,
        options.max_line_count,
        options.highlight_words,
        options.whisperx_compat,
    )
    paths = write_results(
        transcript, options.output_dir, output_stem(file), options.output_format, layout
    )
    for warning in transcript.warnings:
        complain(f"{file}: warning: {warning}")
    if options.verbose:
        names = " ".join(str(path) for path in paths)
        print(f"{_summary(file, transcript, time.monotonic() - started_s)} -> {names}", flush=True)


def _follow(client: Client, file: str, options: argparse.Namespace) -> Transcript:
    audio = sys.stdin.buffer if file == STDIN else file
    progress = display(file, wanted=options.print_progress, verbose=options.verbose)
    stream = client.transcribe_stream(
        audio, timeout_s=options.timeout_s, **request_options(options)
    )
    transcript = None
    try:
        for event in stream:
            if isinstance(event, Progress):
                progress.show(event)
            elif isinstance(event, Transcript):
                transcript = event
    finally:
        stream.close()
        progress.clear()
    if transcript is None:
        raise AssertionError("a stream that ends without a transcript raises BadResponse")
    return transcript


def _summary(file: str, transcript: Transcript, elapsed_s: float) -> str:
    speed = transcript.duration_s / elapsed_s if elapsed_s > 0 else 0.0
    parts = [f"{transcript.duration_s:.1f} s of audio", f"language {_language(transcript)}"]
    if transcript.turns is not None:
        parts.append(plural(len(transcript.speakers), "speaker"))
    parts.append(f"{elapsed_s:.1f} s ({speed:.1f}x real time)")
    return f"{file}: {', '.join(parts)}"


def _language(transcript: Transcript) -> str:
    """The server names a language also where nothing was spoken and none was asked for."""
    was_told = transcript.options.get("language") is not None
    is_known = was_told or transcript.language_probability is not None
    return transcript.language if is_known else "unknown"


def _reason(error: Exception, file: str) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    elsewhere = error.filename is not None and str(error.filename) != file
    return f"{error.strerror}: `{error.filename}`" if elsewhere else error.strerror

"""The `onecard` command: transcribe files, show a server's status.

It knows what the user sees and the exit codes; the work is the client's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from onecard_client import __version__
from onecard_client._arguments import STDIN, output_stem, parse, request_options
from onecard_client._client import Client
from onecard_client._errors import ConnectionFailed, OnecardError
from onecard_client._output import write_results
from onecard_client._progress import display
from onecard_client.events import Progress
from onecard_client.subtitles import SubtitleLayout
from onecard_client.transcript import Transcript

EXIT_OK = 0
EXIT_FILE_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        with Client(options.url) as client:
            if options.command == "status":
                return _status(client, options)
            return _transcribe(client, options)
    except KeyboardInterrupt:
        _complain("interrupted")
        return EXIT_INTERRUPTED
    except ConnectionFailed as error:
        _complain(str(error))
        return EXIT_UNREACHABLE
    except OnecardError as error:
        _complain(str(error))
        return EXIT_FILE_FAILED
    except ValueError as error:  # the address
        _complain(str(error))
        return EXIT_USAGE


def _transcribe(client: Client, options: argparse.Namespace) -> int:
    num_failed = 0
    for file in options.files:
        try:
            _transcribe_file(client, file, options)
        except (OnecardError, OSError) as error:
            _complain(f"{file}: {_reason(error, file)}")
            num_failed += 1
            if isinstance(error, ConnectionFailed) and not _answers(client):
                return EXIT_UNREACHABLE
    if num_failed and len(options.files) > 1:
        _complain(f"{num_failed} of {len(options.files)} files failed")
    return EXIT_FILE_FAILED if num_failed else EXIT_OK


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
        _complain(f"{file}: warning: {warning}")
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
    parts = [f"{transcript.duration_s:.1f} s of audio", f"language {transcript.language}"]
    if transcript.turns is not None:
        num_speakers = len(transcript.speakers)
        parts.append(f"{num_speakers} speaker{'' if num_speakers == 1 else 's'}")
    parts.append(f"{elapsed_s:.1f} s ({speed:.1f}x real time)")
    return f"{file}: {', '.join(parts)}"


def _status(client: Client, options: argparse.Namespace) -> int:
    health = client.health()
    if options.json:
        print(json.dumps({"url": options.url, "client_version": __version__, **asdict(health)}))
    else:
        state = "ready" if health.ready else "live, not ready" if health.live else "not live"
        print(f"{options.url}: {state}")
        print(f"server {health.server_name} {health.server_version}, client onecard {__version__}")
        width = max(len(model.name) for model in health.models)
        for model in health.models:
            print(f"  {model.name:<{width}}  {'ready' if model.ready else 'not ready'}")
    return EXIT_OK if health.ready else EXIT_FILE_FAILED


def _reason(error: Exception, file: str) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    elsewhere = error.filename is not None and str(error.filename) != file
    return f"{error.strerror}: `{error.filename}`" if elsewhere else error.strerror


def _complain(message: str) -> None:
    print(f"onecard: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

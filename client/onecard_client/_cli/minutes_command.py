"""`onecard minutes` and `onecard ask`: what a recording comes to, with citations."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onecard_client._cli.parser import (
    URL_VARIABLE,
    RequestOptions,
    add_request_options,
    add_timeout,
    add_verbosity,
    given,
    text_or_file,
)
from onecard_client._clients.blocking import Client
from onecard_client._minutes import FORMATS, answer_text
from onecard_client._output.console import EXIT_FAILED, EXIT_OK, complain
from onecard_client._output.progress import display
from onecard_client.events import Progress
from onecard_client.minutes import Minutes, MinutesProgress

REQUEST_OPTIONS: RequestOptions = {
    "language": (str, "LANGUAGE", "of what is written; left out, the recording's"),
    "instructions": (text_or_file, "TEXT|@FILE", "what else to look for, or how to write"),
    "max_tokens": (int, "N", "longest answer to one part, in tokens"),
    "part_tokens": (int, "N", "at most so much of the transcript at a time, in tokens"),
    "temperature": (float, "T", "0 for the likeliest token every time"),
    "seed": (int, "N", "the same seed gives the same minutes"),
}
TEMPLATES = ("meeting", "interview", "call", "lecture", "medical", "custom")
_EPILOG = f"""\
FILE is audio or video, which is transcribed first, or a transcript (`.json`, as `onecard
transcribe` writes it). Every statement cites the segments that say it, with their times.

exit codes: 0 done; 1 the file could not be read, or the server failed; 2 wrong usage; 3 no server
at the address; 130 interrupted

environment: {URL_VARIABLE} is the server's address if --url is not given
"""


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "minutes",
        help="write the minutes of a recording or a transcript",
        usage="onecard minutes [OPTION ...] FILE",
        description="Write minutes: topics, decisions, action items, open questions, quotes.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="audio, or a transcript as JSON")
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=sorted(FORMATS), default="md", help="(default: md)")
    group.add_argument("--output", "-o", type=Path, metavar="FILE", help="in place of the terminal")
    _add_shared(parser, group)
    parser.add_argument("--template", choices=TEMPLATES, default="meeting", help="what it is")
    parser.add_argument(
        "--schema", type=schema_file, metavar="FILE",
        help="JSON schema of a document to make of what was found; --format json has it whole",
    )  # fmt: skip
    return parser


def schema_file(path: str) -> dict[str, Any]:
    """The JSON object in a file. Raises ArgumentTypeError."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"`{path}` holds no JSON ({error})") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"`{path}` must hold a JSON schema, which is an object")
    return found


def _add_shared(parser: argparse.ArgumentParser, group: Any) -> None:
    add_timeout(group, "one request")
    add_verbosity(group)
    group = parser.add_argument_group("request", "options of the server")
    add_request_options(group, REQUEST_OPTIONS)
    group.add_argument(
        "--speaker", action="append", default=[], metavar="LABEL=NAME",
        help="the name of a speaker, as in SPEAKER_00=Anna; may be given several times",
    )  # fmt: skip


def verify(options: argparse.Namespace, error: Any) -> None:
    if not Path(options.file).is_file():
        error(f"`{options.file}` is no file, must be audio or a transcript as JSON; name one")
    for pair in options.speaker:
        label, equals, name = pair.partition("=")
        if not (label and equals and name.strip()):
            error(f"`--speaker` is `{pair}`, must be LABEL=NAME, as in SPEAKER_00=Anna")
    output = getattr(options, "output", None)
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        error(f"`{output}` cannot be written, must be a file in a folder that exists")


def run(client: Client, options: argparse.Namespace) -> int:
    try:
        with _request(options) as request:
            if options.schema is not None:
                request["schema"] = options.schema
            found = client.minutes(options.file, template=options.template, **request)
        text = FORMATS[options.format](found)
        _tell(found, options)
        if options.output is None:
            sys.stdout.write(text)
        else:
            options.output.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        complain(f"{options.file}: {error}")
        return EXIT_FAILED
    return EXIT_OK


@contextlib.contextmanager
def _request(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is asked for; progress is shown while this is held."""
    name = Path(options.file).name
    progress = display(name, wanted=options.print_progress, verbose=options.verbose)
    request = given(options, REQUEST_OPTIONS) | {"timeout_s": options.timeout_s}
    if options.speaker:
        request["speakers"] = dict(pair.split("=", 1) for pair in options.speaker)

    def show(event: Progress | MinutesProgress) -> None:
        progress.show(Progress(event.stage, event.done, event.total))

    try:
        yield request | {"on_progress": show}
    finally:
        progress.clear()


def _tell(minutes: Minutes, options: argparse.Namespace) -> None:
    account = minutes.account
    if account is not None and not account.complete:
        read = f"{account.covered_s:.0f} of {account.speech_s:.0f} s of speech"
        complain(f"{options.file}: not all was read, {read}; run it again")


class AskCommand:
    """`onecard ask`: another command with the same way to its answer."""

    @staticmethod
    def add(commands: Any) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(
            "ask",
            help="ask something of a recording or a transcript",
            usage='onecard ask [OPTION ...] FILE "QUESTION"',
            description="Answer a question from one recording, with citations.",
            epilog=_EPILOG,
        )
        parser.add_argument("file", metavar="FILE", help="audio, or a transcript as JSON")
        parser.add_argument("question", metavar="QUESTION")
        group = parser.add_argument_group("output")
        group.add_argument("--json", action="store_true", help="the whole answer as JSON")
        _add_shared(parser, group)
        return parser

    @staticmethod
    def verify(options: argparse.Namespace, error: Any) -> None:
        verify(options, error)
        if not options.question.strip():
            error("QUESTION is empty, must be a question in words")

    @staticmethod
    def run(client: Client, options: argparse.Namespace) -> int:
        try:
            with _request(options) as request:
                found = client.ask(options.file, options.question, **request)
        except (OSError, ValueError) as error:
            complain(f"{options.file}: {error}")
            return EXIT_FAILED
        whole = json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n"
        sys.stdout.write(whole if options.json else answer_text(found))
        return EXIT_OK

"""`onecard triage`: verdicts on the emails of files and folders, once or as they arrive.

Mails are only read: nothing is ever sent or moved.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from onecard_client._cli.parser import (
    URL_VARIABLE,
    RequestOptions,
    add_request_options,
    add_timeout,
    add_verbosity,
    given,
    names,
    text_or_file,
)
from onecard_client._clients.blocking import Client
from onecard_client._mailbox.sources import MAIL_FOLDERS, STDIN, is_maildir
from onecard_client._output.console import EXIT_FAILED, EXIT_USAGE, complain, is_terminal
from onecard_client._output.progress import display
from onecard_client._transport.interrupt import held_back
from onecard_client._verdicts import output as _verdict_output
from onecard_client._verdicts.disk import Busy, OutputFailed, reason
from onecard_client._verdicts.lines import NotVerdicts
from onecard_client._verdicts.output import Show
from onecard_client._verdicts.run import Output, TriageRun
from onecard_client._verdicts.store import Store, batch, journal
from onecard_client.mail import Email
from onecard_client.triage import Verdict

DEFAULT_INTERVAL_S = 5.0

REQUEST_OPTIONS: RequestOptions = {
    "categories": (names, "NAMES", "what a mail can be, with commas between"),
    "priorities": (names, "NAMES", "how urgent a mail can be, with commas between"),
    "instructions": (text_or_file, "TEXT|@FILE", "who you are, and what is to be done with mails"),
    "mails_per_call": (int, "N", "at most so many mails in one call of the model"),
    "max_tokens_per_mail": (int, "N", "longest verdict, in tokens"),
    "confidence_threshold": (float, "X", "a verdict with less confidence is for review"),
    "temperature": (float, "T", "0 for the likeliest token every time"),
    "seed": (int, "N", "the same seed gives the same verdicts"),
}

_EPILOG = f"""\
A PATH is a mail (.eml, .emlx, .msg), an mbox, a Maildir, or a folder with such files at any depth;
or JSON: a list, one document, or one on each line, of objects with id, from, to, date, subject,
body, or as Microsoft Graph, Gmail and JMAP answer. `-` is one of these on standard input. Mailboxes
are only read: nothing is moved, flagged or sent. What cannot be read is reported, and the others
follow.

A terminal gets a table; --output gets a verdict as JSON on each line, and so does standard output
where it is no terminal. --watch goes on, with each mail that arrives, until Ctrl-C: those in new,
and those that come; give the folder as PATH as well for those that were there before.

Whatever ends a run with --output FILE, the same command goes on from there: what has its verdict in
FILE or FILE.partial is not judged again, unless the mail or the options have changed.

exit codes: 0 every mail has its verdict, also where that is a review; 1 something could not be read
or written, or the server failed; 2 wrong usage; 3 no server at the address; 130 interrupted;
143 and 129 ended by SIGTERM or SIGHUP

environment: {URL_VARIABLE} is the server's address if --url is not given
"""


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "triage",
        help="say what is to be done about emails",
        usage="onecard triage [OPTION ...] PATH [PATH ...]",
        description="Judge emails: category, priority, what is to be done until when, a draft.",
        epilog=_EPILOG,
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="mails; `-` for standard input")
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", "-o", metavar="FILE", help="verdicts as JSONL; `-` for standard output"
    )
    group.add_argument(
        "--again", action="store_true", help="judge mails anew that have their verdict in FILE"
    )
    group.add_argument("--watch", type=Path, metavar="DIR", help="a Maildir to keep an eye on")
    group.add_argument(
        "--interval", type=float, default=DEFAULT_INTERVAL_S, metavar="SECONDS",
        help=f"how often --watch looks (default: {DEFAULT_INTERVAL_S:.0f})",
    )  # fmt: skip
    add_timeout(group, "one request")
    add_verbosity(group)
    group = parser.add_argument_group("request", "options of the server")
    add_request_options(group, REQUEST_OPTIONS)
    group.add_argument("--no-drafts", action="store_true", help="no drafts of replies")
    return parser


def verify(options: argparse.Namespace, error: Any) -> None:
    if not options.paths and options.watch is None:
        error("no PATH is given, must be one at least; `-` is standard input")
    if options.paths.count(STDIN) > 1:
        error("standard input (`-`) is given twice, can be read once; name it once")
    if options.watch is not None and not is_maildir(options.watch):
        error(f"`{options.watch}` has neither `new` nor `cur`, must be a Maildir; name one")
    if not options.interval > 0:
        error(f"`--interval` is `{options.interval}`, must be more than 0 seconds")
    if options.output is not None and options.output != STDIN:
        _verify_output(Path(options.output), options, error)


def _verify_output(output: Path, options: argparse.Namespace, error: Any) -> None:
    """Mailboxes are only read: verdicts go neither over nor into one."""
    folder = output.absolute().parent
    if not folder.is_dir() or output.is_dir():
        error(f"`{output}` cannot be written, must be a file in a folder that exists")
    if any(Path(path).exists() and output.exists() and output.samefile(path)
           for path in options.paths):  # fmt: skip
        error(f"`{output}` is read and would be written; name another file")
    if folder.name in (*MAIL_FOLDERS, "tmp") and is_maildir(folder.parent):
        error(f"`{output}` lies in a Maildir, which is only read; name a file outside")


def run(client: Client, options: argparse.Namespace) -> int:
    request = given(options, REQUEST_OPTIONS) | {"timeout_s": options.timeout_s}
    if options.no_drafts:
        request["drafts"] = False
    progress = display("triage", wanted=options.print_progress, verbose=options.verbose)
    try:
        with contextlib.ExitStack() as stack:
            output = _output(options, request, stack)
            return TriageRun(client, request, options, output, progress).run()
    except NotVerdicts as error:
        complain(str(error))
        return EXIT_USAGE
    except (Busy, OutputFailed) as error:
        complain(str(error))
        return EXIT_FAILED


def _output(
    options: argparse.Namespace, request: dict[str, Any], stack: contextlib.ExitStack
) -> Output:
    """Raises: Busy, NotVerdicts, OutputFailed: the file cannot be the output."""
    shows: list[Show] = []
    store: Store | None = None
    if options.output not in (STDIN, None):
        path = Path(options.output)
        is_watched = options.watch is not None
        try:
            if path.exists() and not path.is_file():  # a pipe or a device
                shows.append(stack.enter_context(_verdict_output.device(path, append=is_watched)))
            else:
                opened = journal if is_watched else batch
                with held_back():  # until what was opened is sure to be closed
                    store = stack.enter_context(opened(path, request, again=options.again))
                shows.append(store.add)
        except OSError as error:
            raise OutputFailed(
                f"`{error.filename or path}` cannot be written ({reason(error)}); name another file"
            ) from error
    if options.output != STDIN and is_terminal(sys.stdout):
        shows.append(_verdict_output.rows(sys.stdout))
    elif options.output in (STDIN, None):
        if sys.stdout is None:
            raise OutputFailed("standard output is closed, must be open; or give `--output FILE`")
        shows.append(_verdict_output.lines(sys.stdout))

    def show(verdict: Verdict, email: Email) -> None:
        for each in shows:  # the file first: a terminal may be gone
            each(verdict, email)

    return Output(show, store)

"""`onecard triage`: verdicts on the emails of files and folders, once or as they arrive.

It knows what the user sees; it only reads mails, and nothing is ever sent or moved.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from onecard_client import _verdict_output
from onecard_client._client import Client
from onecard_client._console import EXIT_FAILED, EXIT_OK, complain, is_terminal, plural
from onecard_client._errors import Cancelled, DeadlineExceeded, OnecardError, Unavailable
from onecard_client._judge import Judge
from onecard_client._mailboxes import MAIL_FOLDERS, STDIN, is_maildir, read, with_own_ids
from onecard_client._parser import (
    URL_VARIABLE,
    RequestOptions,
    add_request_options,
    add_timeout,
    add_verbosity,
    given,
    names,
    text_or_file,
)
from onecard_client._progress import display
from onecard_client._verdict_output import Show
from onecard_client._watch import Inbox
from onecard_client.events import Progress
from onecard_client.mail import Email
from onecard_client.triage import Verdict

DEFAULT_INTERVAL_S = 5.0

# After these the same mails may have verdicts later.
TRANSIENT = (Unavailable, DeadlineExceeded, Cancelled)

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
A PATH is a mail (.eml), an mbox, a Maildir, a folder with .eml files in it, JSON (a list of objects
with id, from, to, date, subject, body) or JSONL; `-` is one of these on standard input. Mailboxes
are only read: nothing is moved, flagged or sent. What is not a mail is reported, and the others
follow.

A terminal gets a table; --output gets a verdict as JSON on each line, and so does standard output
where it is no terminal. --watch goes on, with each mail that arrives, until Ctrl-C: those in new,
and those that come; give the folder as PATH as well for those that were there before.

exit codes: 0 every mail has its verdict, also where that is a review; 1 something could not be
read, or the server failed; 2 wrong usage; 3 no server at the address; 130 interrupted

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
    judge = Judge(client, request, progress)
    problems: list[str] = []

    def report(problem: str) -> None:
        problems.append(problem)
        complain(problem)

    # made before the mails are read: one that arrives meanwhile is judged twice rather than never
    inbox = _inbox(options)
    progress.show(Progress("reading", 0, 0))
    mails = list(read(options.paths, report))
    progress.clear()
    with contextlib.ExitStack() as stack:
        show = _show(options, stack)
        try:
            by_id = {mail.id: mail for mail in mails}
            for verdict in judge.verdicts(mails):
                show(verdict, by_id.get(verdict.id, Email(verdict.id)))
            if inbox is not None:
                client.health()  # raises: who mistyped the address should not wait for a mail
                _watch(judge, inbox, options.interval, show)
        finally:
            if options.verbose:
                complain(judge.account())
    if problems:
        complain(f"{plural(len(problems), 'mail')} could not be read")
    return EXIT_FAILED if problems or not judge.is_complete else EXIT_OK


def _inbox(options: argparse.Namespace) -> Inbox | None:
    if options.watch is None:
        return None
    folders = [Path(path).resolve() for path in options.paths if path != STDIN]
    return Inbox(options.watch, only_later=options.watch.resolve() in folders)


def _show(options: argparse.Namespace, stack: contextlib.ExitStack) -> Show:
    """Where each verdict goes."""
    shows: list[Show] = []
    wants_lines = options.output == STDIN or options.output is None
    if options.output != STDIN and is_terminal(sys.stdout):
        shows.append(_verdict_output.rows(sys.stdout))
    elif wants_lines:
        shows.append(_verdict_output.lines(sys.stdout))
    if not wants_lines:
        append = options.watch is not None
        shows.append(stack.enter_context(_verdict_output.file(Path(options.output), append=append)))

    def show(verdict: Verdict, mail: Email) -> None:
        for each in shows:
            each(verdict, mail)

    return show


def _watch(judge: Judge, inbox: Inbox, interval_s: float, show: Show) -> NoReturn:
    """Until Ctrl-C."""
    while True:
        arrived = list(inbox.arrivals(complain))
        mails = list(with_own_ids(email for _, email in arrived))
        by_id = {mail.id: mail for mail in mails}
        keys = {mail.id: key for mail, (key, _) in zip(mails, arrived, strict=True)}
        try:
            for verdict in judge.verdicts(mails):
                show(verdict, by_id.get(verdict.id, Email(verdict.id)))
                inbox.mark(keys.pop(verdict.id, ""))
        except TRANSIENT as error:
            complain(f"{error}; {plural(len(keys), 'mail')} will be tried again")
            keys = {}
        except OnecardError as error:
            complain(f"{error}; {plural(len(keys), 'mail')} will not be tried again")
        for key in keys.values():
            inbox.mark(key)
        time.sleep(interval_s)

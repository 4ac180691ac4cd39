"""One run of `onecard triage`, from reading emails to writing verdicts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from onecard_client._clients.blocking import Client
from onecard_client._errors import Cancelled, DeadlineExceeded, OnecardError, Unavailable
from onecard_client._mailbox.mime import CannotReadMails
from onecard_client._mailbox.sources import STDIN, read, with_own_ids
from onecard_client._output.console import EXIT_FAILED, EXIT_OK, complain, plural
from onecard_client._output.progress import Silent
from onecard_client._verdicts.judge import Judge
from onecard_client._verdicts.output import Show
from onecard_client._verdicts.store import Journal, Store
from onecard_client._verdicts.watch import Inbox
from onecard_client.events import Progress
from onecard_client.mail import Email

# After these the same mails may have verdicts later.
TRANSIENT = (Unavailable, DeadlineExceeded, Cancelled)


@dataclass(frozen=True)
class Output:
    """Where each verdict goes; the store is None where nothing outlives the process."""

    show: Show
    store: Store | None


class TriageRun:
    """One run of the command."""

    def __init__(
        self,
        client: Client,
        request: dict[str, Any],
        options: argparse.Namespace,
        output: Output,
        progress: Silent,
    ) -> None:
        self._client = client
        self._options = options
        self._output = output
        self._progress = progress
        self._judge = Judge(client, request, progress)
        self._num_mails = 0
        self._num_problems = 0

    def run(self) -> int:
        # made before the mails are read: of one that arrives meanwhile, twice is better than never
        inbox = _inbox(self._options)
        try:
            for verdict, email in self._judge.verdicts(self._unjudged(self._mails())):
                self._output.show(verdict, email)
            if inbox is not None:
                self._client.health()  # raises: who mistyped the address should not wait for a mail
                self._watch(inbox)
        finally:
            self._say_what_was_there()
            if self._options.verbose:
                complain(self._judge.account())
        is_whole = self._judge.is_complete and not self._num_problems
        if self._output.store is not None:
            self._output.store.finish(is_whole=is_whole)
        if not self._num_mails and self._options.verbose:
            complain("0 mails: there is nothing to judge")
        if self._num_problems:
            complain(f"{plural(self._num_problems, 'item')} could not be read, as said above")
        return EXIT_OK if is_whole else EXIT_FAILED

    def _mails(self) -> Iterator[Email]:
        """All of the PATHs, counted."""
        self._progress.show(Progress("reading", 0, 0))
        for email in read(self._options.paths, self._report, self._note):
            self._num_mails += 1
            self._progress.show(Progress("reading", self._num_mails, 0))
            yield email
        self._progress.clear()

    def _unjudged(self, mails: Iterable[Email]) -> Iterator[Email]:
        store = self._output.store
        return (email for email in mails if store is None or not store.has(email))

    def _report(self, problem: str) -> None:
        self._num_problems += 1
        self._progress.clear()
        complain(problem)

    def _note(self, text: str) -> None:
        """Notes what is skipped on purpose."""
        if self._options.verbose:
            self._progress.clear()
            complain(text)

    def _say_what_was_there(self) -> None:
        store = self._output.store
        if store is not None and store.num_kept and self._options.verbose:
            were = "was" if store.num_kept == 1 else "were"
            complain(f"{plural(store.num_kept, 'verdict')} {were} there already")
            store.num_kept = 0

    def _watch(self, inbox: Inbox) -> NoReturn:
        """Judges what arrives until Ctrl-C or a signal to end."""
        while True:
            keys: dict[str, str] = {}  # of mails that were read and have no verdict
            try:
                for verdict, email in self._judge.verdicts(self._arrivals(inbox, keys)):
                    self._output.show(verdict, email)
                    inbox.mark(keys.pop(email.id))
            except CannotReadMails:
                raise
            except TRANSIENT as error:
                complain(f"{error}; {plural(len(keys), 'mail')} will be tried again")
                keys = {}
            except OnecardError as error:
                complain(f"{error}; {plural(len(keys), 'mail')} will not be tried again")
            for key in keys.values():
                inbox.mark(key)
            self._say_what_was_there()
            time.sleep(self._options.interval)

    def _arrivals(self, inbox: Inbox, keys: dict[str, str]) -> Iterator[Email]:
        """The emails that have arrived and have no verdict; `keys` gets their keys by id."""
        read_keys: list[str] = []

        def unjudged() -> Iterator[Email]:
            for key, email in inbox.arrivals(complain):
                if isinstance(self._output.store, Journal) and self._output.store.has_content(
                    email
                ):
                    inbox.mark(key)
                    continue
                read_keys.append(key)
                yield email

        for email in with_own_ids(unjudged()):
            keys[email.id] = read_keys.pop()
            yield email


def _inbox(options: argparse.Namespace) -> Inbox | None:
    if options.watch is None:
        return None
    folders = [Path(path).resolve() for path in options.paths if path != STDIN]
    return Inbox(options.watch, only_later=options.watch.resolve() in folders)

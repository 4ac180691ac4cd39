"""Judges any number of emails, one request after another, with an account of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from onecard_client._clients.blocking import Client
from onecard_client._errors import Unavailable
from onecard_client._output.console import complain, plural
from onecard_client._output.progress import Silent
from onecard_client.events import Progress
from onecard_client.mail import Email
from onecard_client.triage import TriageProgress, TriageSummary, Verdict

# The server puts as many mails into a call as fit; these are some ten calls, so that little is lost
# to the last one, which is not full, and not much is repeated after a failure.
MAILS_PER_REQUEST = 100
# The first request has few, so that the first verdict does not wait for many to be read; each
# further one has GROWTH times as many, up to MAILS_PER_REQUEST.
MAILS_OF_FIRST_REQUEST = 4
GROWTH = 4
# Of all texts in a request; what is read and not yet judged is all that is held of a mailbox.
CHARACTERS_PER_REQUEST = 2_000_000


class Judge:
    """Asks for verdicts and keeps count."""

    def __init__(self, client: Client, request: dict[str, Any], progress: Silent) -> None:
        self._client = client
        self._request = request
        self._progress = progress
        self._num_mails: int | None = None  # while more may come
        self._num_decided = 0
        self._num_for_review = 0
        self._num_missing = 0
        self._num_calls = 0
        self._num_tokens_in = 0
        self._num_tokens_out = 0
        self._seconds = 0.0
        self._waited_s = 0.0

    def verdicts(self, mails: Iterable[Email]) -> Iterator[tuple[Verdict, Email]]:
        """One for each of `mails`, with its mail, in the order in which they are decided.

        A request is made when its mails are read, and the next ones are read after its verdicts.

        Raises:
            OnecardError: the mails of that request have no further verdict.
        """
        num_before, num_read = self._num_decided, 0
        self._num_mails = None
        try:
            for batch, is_last in _requests(mails):
                num_read += len(batch)
                self._num_mails = num_before + num_read if is_last else None
                waiting = {mail.id: mail for mail in batch}
                yield from self._decide(waiting)
                for mail_id in waiting:
                    complain(f"{mail_id}: the server gave no verdict; triage it again")
                self._num_missing += len(waiting)
        finally:
            self._progress.clear()

    @property
    def is_complete(self) -> bool:
        """Whether every mail has its verdict."""
        return not self._num_missing

    def account(self) -> str:
        parts = [
            f"{plural(self._num_decided, 'verdict')}, {self._num_for_review} for review",
            f"{plural(self._num_calls, 'call')}, {self._num_tokens_in} tokens in, "
            f"{self._num_tokens_out} out",
            f"{self._seconds:.1f} s",
        ]
        if self._waited_s > 0:
            parts.append(f"of which {self._waited_s:.1f} s waiting for transcriptions")
        return "; ".join(parts)

    def _decide(self, waiting: dict[str, Email]) -> Iterator[tuple[Verdict, Email]]:
        """Verdicts for `waiting`, which loses each mail that has one.

        The client asks again only while nothing came. After that, the mails without a verdict are a
        new request.
        """
        while waiting:
            num_before = len(waiting)
            try:
                yield from self._ask(waiting)
                return
            except Unavailable:
                if len(waiting) == num_before:
                    raise

    def _ask(self, waiting: dict[str, Email]) -> Iterator[tuple[Verdict, Email]]:
        def on_progress(progress: TriageProgress) -> None:
            waits = progress.waiting_for is not None
            stage = "waiting for transcriptions" if waits else "deciding"
            self._progress.show(Progress(stage, self._num_decided, self._num_mails or 0))

        emails = list(waiting.values())
        with self._client.triage(emails, on_progress=on_progress, **self._request) as stream:
            for verdict in stream:
                email = waiting.pop(verdict.id, None)
                if email is None:  # it has one already, or nobody asked
                    continue
                self._num_decided += 1
                self._num_for_review += verdict.needs_review
                self._progress.clear()
                yield verdict, email
        if stream.summary is not None:
            self._add(stream.summary)

    def _add(self, summary: TriageSummary) -> None:
        self._num_calls += len(summary.calls)
        self._num_tokens_in += summary.prompt_tokens
        self._num_tokens_out += summary.completion_tokens
        self._seconds += summary.seconds
        self._waited_s += summary.waited_s


def _requests(mails: Iterable[Email]) -> Iterator[tuple[list[Email], bool]]:
    """The mails of one request after another, each as soon as it is full; whether it is the last
    is known only of one that is not."""
    most = MAILS_OF_FIRST_REQUEST
    batch: list[Email] = []
    num_characters = 0
    for mail in mails:
        batch.append(mail)
        num_characters += _num_characters(mail)
        if len(batch) >= min(most, MAILS_PER_REQUEST) or num_characters >= CHARACTERS_PER_REQUEST:
            yield batch, False
            batch, num_characters = [], 0
            most *= GROWTH
    if batch:
        yield batch, True


def _num_characters(mail: Email) -> int:
    return sum(len(text) for text in (mail.subject, mail.body, mail.sender, mail.to, mail.cc))

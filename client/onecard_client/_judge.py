"""Verdicts for any number of emails: a request after another, and an account of all of them.

It knows what a request may hold and which mails still want a verdict; not where mails come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onecard_client._client import Client
from onecard_client._console import complain, plural
from onecard_client._errors import Unavailable
from onecard_client._progress import Silent
from onecard_client.events import Progress
from onecard_client.mail import Email
from onecard_client.triage import TriageProgress, TriageSummary, Verdict

# The server puts as many mails into a call as fit; these are some ten calls, so that little is lost
# to the last one, which is not full, and not much is repeated after a failure.
MAILS_PER_REQUEST = 100


class Judge:
    """Asks for verdicts and keeps count.

    Attributes:
        summary: the account, added up over the requests that ended.
    """

    def __init__(self, client: Client, request: dict[str, Any], progress: Silent) -> None:
        self._client = client
        self._request = request
        self._progress = progress
        self._num_verdicts = 0
        self._num_for_review = 0
        self._num_missing = 0
        self._summaries: list[TriageSummary] = []

    def verdicts(self, mails: Sequence[Email]) -> Iterator[Verdict]:
        """One for each of `mails`, in the order in which they are decided. Raises: OnecardError."""
        try:
            for start in range(0, len(mails), MAILS_PER_REQUEST):
                waiting = {mail.id: mail for mail in mails[start : start + MAILS_PER_REQUEST]}
                yield from self._decide(waiting, start, len(mails))
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
        num_calls = sum(len(summary.calls) for summary in self._summaries)
        tokens_in, tokens_out = (
            sum(getattr(summary, name) for summary in self._summaries)
            for name in ("prompt_tokens", "completion_tokens")
        )
        parts = [
            f"{plural(self._num_verdicts, 'verdict')}, {self._num_for_review} for review",
            f"{plural(num_calls, 'call')}, {tokens_in} tokens in, {tokens_out} out",
            f"{sum(summary.seconds for summary in self._summaries):.1f} s",
        ]
        waited_s = sum(summary.waited_s for summary in self._summaries)
        if waited_s > 0:
            parts.append(f"of which {waited_s:.1f} s waiting for transcriptions")
        return "; ".join(parts)

    def _decide(self, waiting: dict[str, Email], start: int, total: int) -> Iterator[Verdict]:
        """Verdicts for `waiting`, which loses each mail that has one.

        The client asks again only while nothing came. After that, the mails without a verdict are a
        new request.
        """
        while waiting:
            num_before = len(waiting)
            try:
                yield from self._ask(waiting, start, total)
                return
            except Unavailable:
                if len(waiting) == num_before:
                    raise
                start += num_before - len(waiting)

    def _ask(self, waiting: dict[str, Email], start: int, total: int) -> Iterator[Verdict]:
        def on_progress(progress: TriageProgress) -> None:
            waits = progress.waiting_for is not None
            stage = "waiting for transcriptions" if waits else "deciding"
            self._progress.show(Progress(stage, start + progress.done, total))

        emails = list(waiting.values())
        with self._client.triage(emails, on_progress=on_progress, **self._request) as stream:
            for verdict in stream:
                waiting.pop(verdict.id, None)
                self._num_verdicts += 1
                self._num_for_review += verdict.needs_review
                self._progress.clear()
                yield verdict
        if stream.summary is not None:
            self._summaries.append(stream.summary)

"""Emails from any source; the first bytes of a file decide its format, not its name.

Python's own `mailbox` is not used: it opens files for writing, and changes some.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources.files import Report, Reports, Tell, open_file, reason, shown
from onecard_client._mailbox.sources.folders import JSON_SUFFIXES, Folder, MailFile
from onecard_client._mailbox.sources.foreign import foreign
from onecard_client._mailbox.sources.headers import MAX_HEADER_BYTES, known_headers
from onecard_client._mailbox.sources.json.emails import emails_in_json
from onecard_client._mailbox.sources.maildir import lasting, moved
from onecard_client._mailbox.sources.mbox import FROM, MMDF
from onecard_client._mailbox.sources.mbox_emails import emails_in_mbox
from onecard_client._mailbox.sources.single import EMPTY, SINGLE_SUFFIXES, email_in, is_emlx
from onecard_client._mailbox.sources.window import Window, opened
from onecard_client.mail import Email

STDIN = "-"
# The server takes ids of 998, the longest line of a mail; there has to be room for `#2`.
MAX_ID_CHARACTERS = 980


def _ignore(_: str) -> None:
    pass


def read(paths: list[str], report: Report, note: Report = _ignore) -> Iterator[Email]:
    """The emails at `paths`, each with an id of its own, each as soon as it is read.

    Memory holds one mail at a time, and the whole of a JSON document.

    Args:
        report: told of everything that is passed over and may be a mail, each in one line; the
            others follow. Who counts what could not be read counts these.
        note: told of what is passed over as it should be, each in one line: an empty mailbox,
            mails in the bin, files in a folder that are no mails.
    """
    tell = Tell(report, note)
    return with_own_ids(email for path in paths for email in _emails(path, tell))


def with_own_ids(emails: Iterable[Email]) -> Iterator[Email]:
    """A copy, such as the one that came over a mailing list, gets `#2` behind its id."""
    num_seen: dict[str, int] = {}
    for email in emails:
        wanted = own = email.id[:MAX_ID_CHARACTERS]
        while own in num_seen:
            num_seen[wanted] += 1
            own = f"{wanted}#{num_seen[wanted]}"
        num_seen[own] = 1
        yield replace(email, id=own)


def read_file(path: Path, name: str) -> Email:
    """The one email in a file.

    Raises:
        NotAMail: it is none, or a pipe or another thing that is no file.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        window = opened(file)
        email = email_in(window, name, Tell(_ignore, _ignore))
    if window.failure:
        raise OSError(window.failure)
    if email is None:
        raise NotAMail("is deleted in Apple Mail")
    return email


def _emails(path: str, tell: Tell) -> Iterator[Email]:
    try:
        if path == STDIN:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.set_blocking(sys.stdin.fileno(), True)
            yield from _in_window(opened(sys.stdin.buffer), "stdin", tell)
        elif Path(path).is_dir():
            for file in Folder(Path(path), tell).files():
                yield from _in_file(file, tell)
        else:
            yield from _in_file(MailFile(Path(path), is_single=False), tell)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        tell.report(f"{shown(path)}: {reason(error)}")


def _in_file(file: MailFile, tell: Tell) -> Iterator[Email]:
    path = file.path
    name = shown(path)
    try:
        try:
            stream = open_file(path)
        except FileNotFoundError:
            found = moved(path) if file.is_single else None
            if found is None:
                raise
            stream = open_file(found)
        with stream:
            for email in _in_window(opened(stream), name, tell, is_single=file.is_single):
                is_made_up = file.is_single and email.id == name
                yield replace(email, id=shown(lasting(path))) if is_made_up else email
    except (NotAMail, OSError, ValueError) as error:
        tell.report(f"{name}: {reason(error)}")


def _in_window(
    window: Window, name: str, tell: Tell, *, is_single: bool = False
) -> Iterator[Email]:
    reports = Reports(name, tell.report)
    tell = Tell(reports, tell.note)
    try:
        if is_single:
            email = email_in(window, name, tell)
            yield from [email] if email is not None else []
        else:
            yield from _read_by_first_bytes(window, name, tell)
    except NotAMail as error:
        if not window.failure:
            tell.report(f"{name}: {error}")
    reports.end()
    if window.failure:
        tell.report(f"{name}: ends early ({window.failure}); what came before is read")


def _read_by_first_bytes(window: Window, name: str, tell: Tell) -> Iterator[Email]:
    is_named_single = Path(name).suffix.lower() in SINGLE_SUFFIXES
    if window.is_blank():
        if is_named_single:
            raise NotAMail(EMPTY)
        if not window.failure:
            tell.note(f"{name}: is empty")
        return
    window.ensure(16)
    has_separator = window.data.startswith((FROM, MMDF))
    is_foreign = foreign(bytes(window.data[:2_000])) is not None
    if is_foreign or is_emlx(window) or (is_named_single and not has_separator):
        email = email_in(window, name, tell)
        yield from [email] if email is not None else []
    elif _is_json(window, name):
        yield from emails_in_json(window, name, tell)
    else:
        blank = len(window.data) - len(window.data.lstrip(b"\xef\xbb\xbf \t\r\n\0"))
        is_mail = not has_separator and bool(
            known_headers(window, blank, is_tolerant=True, enough=1)
        )
        is_strict = is_named_single or is_mail
        yield from emails_in_mbox(window, name, tell, is_strict=is_strict)


def _is_json(window: Window, name: str) -> bool:
    """Whether the data begins like JSON, or goes on like JSON after a broken line."""
    if window.data.lstrip(b" \t\r\n\x1e").startswith((b"[", b"{")):
        return True
    if window.data.startswith((FROM, MMDF)) or known_headers(window, 0, enough=1):
        return False
    second = window.line_end(0, MAX_HEADER_BYTES)
    window.line_end(second, MAX_HEADER_BYTES)
    return Path(name).suffix.lower() in JSON_SUFFIXES or window.data.startswith(b'{"', second)

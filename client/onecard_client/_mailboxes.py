"""Emails from wherever a user has them: .eml, mbox, Maildir, JSON, JSONL, standard input.

It knows how mails lie in files and folders, and only ever reads; `_mime` knows what is in a mail.
Python's own `mailbox` is not used: it opens files for writing, and changes some.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from onecard_client._mime import MAX_MAIL_BYTES, NotAMail, email_from_bytes, sound
from onecard_client.mail import Email

STDIN = "-"
MAIL_FOLDERS = ("new", "cur")
# The server takes ids of 998, the longest line of a mail; there has to be room for `#2`.
MAX_ID_CHARACTERS = 980
# `From someone@example.com Tue Jul  1 10:00:00 2025`, by whoever wrote it
_DATED = re.compile(rb"From .*\b\d\d:\d\d\b")
_HEADER = re.compile(rb"[!-9;-~]+:")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_BOM = b"\xef\xbb\xbf"

Report = Callable[[str], None]


def read(paths: list[str], report: Report) -> Iterator[Email]:
    """The emails at `paths`, each with an id of its own.

    Args:
        report: told of everything that cannot be read, each in one line; the others follow.
    """
    return with_own_ids(email for path in paths for email in _emails(path, report))


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


def is_maildir(path: Path) -> bool:
    return any((path / folder).is_dir() for folder in MAIL_FOLDERS)


def maildir_files(path: Path) -> list[Path]:
    """The mails of a Maildir, by name; those beginning with a dot are none, as its makers say."""
    return [
        file
        for folder in MAIL_FOLDERS
        for file in _listed(path / folder)
        if file.is_file() and not file.name.startswith(".")
    ]


def read_file(path: Path, name: str) -> Email:
    """The one email in a file. Raises: NotAMail, OSError."""
    with path.open("rb") as file:
        return email_from_bytes(file.read(MAX_MAIL_BYTES), name)


def _emails(path: str, report: Report) -> Iterator[Email]:
    try:
        if path == STDIN:
            yield from _in_file(sys.stdin.buffer, "stdin", report)
        elif Path(path).is_dir():
            yield from _in_folder(Path(path), report)
        else:
            with Path(path).open("rb") as file:
                yield from _in_file(file, path, report)
    except (NotAMail, OSError) as error:
        report(f"{path}: {reason(error)}")


def reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _in_folder(folder: Path, report: Report) -> Iterator[Email]:
    files = maildir_files(folder) if is_maildir(folder) else _eml_files(folder)
    if not files and not is_maildir(folder):
        report(f"{folder}: has no file `*.eml` and no Maildir's `new` and `cur`, must have one")
    for file in files:
        try:
            yield read_file(file, str(file))
        except (NotAMail, OSError) as error:
            report(f"{file}: {reason(error)}")


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _eml_files(folder: Path) -> list[Path]:
    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(".eml")
    )


def _in_file(file: BinaryIO, name: str, report: Report) -> Iterator[Email]:
    """By what it begins with, whatever it is called."""
    first = file.readline(MAX_MAIL_BYTES).removeprefix(_BOM)
    if first.startswith(b"From "):
        yield from _in_mbox(file, first, name, report)
        return
    while not first.strip():
        first = file.readline(MAX_MAIL_BYTES)
        if not first:
            raise NotAMail("is empty, must hold a mail, an mbox, JSON or JSONL")
    if first.lstrip()[:1] in (b"[", b"{"):
        yield from _in_json(first + file.read(), name, report)
    else:
        yield email_from_bytes(first + file.read(MAX_MAIL_BYTES), name)


def _in_mbox(file: BinaryIO, first: bytes, name: str, report: Report) -> Iterator[Email]:
    for offset, raw in _split(file, first):
        try:
            yield email_from_bytes(raw, f"{name}@{offset}")
        except NotAMail as error:
            report(f"{name}: at byte {offset}: {error}")


def _split(file: BinaryIO, first: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each mail's `From ` line stands, and the mail without it, `>From ` as it was."""
    started, size = 0, 0
    lines: list[bytes] = []
    before = first
    offset = len(first)
    line = file.readline(MAX_MAIL_BYTES)
    while line:
        following = file.readline(MAX_MAIL_BYTES)
        if _begins_mail(before, line, following):
            yield started, _QUOTED_FROM.sub(rb"\1", b"".join(lines))
            started, size, lines = offset, 0, []
        elif size < MAX_MAIL_BYTES:
            lines.append(line)
            size += len(line)
        offset += len(line)
        before, line = line, following
    yield started, _QUOTED_FROM.sub(rb"\1", b"".join(lines))


def _begins_mail(before: bytes, line: bytes, following: bytes) -> bool:
    """Two signs of three: not every program leaves a line empty, writes a date, or quotes a
    `From ` that begins a sentence."""
    if not line.startswith(b"From "):
        return False
    signs = (not before.strip(), bool(_DATED.match(line)), bool(_HEADER.match(following)))
    return sum(signs) >= 2


def _in_json(content: bytes, name: str, report: Report) -> Iterator[Email]:
    for number, found in enumerate(_documents(content, name, report), start=1):
        try:
            yield _email(found, f"{name}@{number}")
        except NotAMail as error:
            report(f"{name}: mail {number} {error}")


def _documents(content: bytes, name: str, report: Report) -> Iterator[Any]:
    """The elements of one list, one object, or the object on each line."""
    try:
        found = json.loads(content)
        yield from found if isinstance(found, list) else [found]
        return
    except (ValueError, RecursionError) as error:
        first, *_ = content.split(b"\n", 1)
        if not _is_json(first):
            raise NotAMail(
                f"is not JSON ({error}), must be a list of mails, or one mail on each line"
            ) from error
    for number, line in enumerate(content.splitlines(), start=1):
        if _is_json(line):
            yield json.loads(line)
        elif line.strip():
            report(f"{name}: line {number} is not JSON, must be one mail")


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _email(found: Any, made_up_id: str) -> Email:
    """An element of the server's EMAILS; keys that are not a mail's are left out."""
    if not isinstance(found, dict):
        raise NotAMail(f"is of type `{type(found).__name__}`, must be an object")
    texts: dict[str, str] = {}
    for key in ("id", "subject", "body", "from", "to", "date"):
        value = found.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        texts[key] = sound(", ".join(map(str, items)))
    if not texts["subject"] and not texts["body"]:
        raise NotAMail("has neither `subject` nor `body`, must have one of them")
    sender = texts.pop("from")
    return Email(**{**texts, "id": texts["id"] or made_up_id}, sender=sender)

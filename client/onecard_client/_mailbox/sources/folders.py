"""The emails and mailboxes below a folder, and what is skipped there."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources.files import Tell, open_file, reason, shown, special
from onecard_client._mailbox.sources.foreign import foreign
from onecard_client._mailbox.sources.headers import known_headers
from onecard_client._mailbox.sources.maildir import (
    MAIL_FOLDERS,
    has_flags,
    is_maildir,
    is_trashed,
    listed,
    maildir_key,
)
from onecard_client._mailbox.sources.mbox import FROM, MMDF
from onecard_client._mailbox.sources.single import SINGLE_SUFFIXES, is_emlx
from onecard_client._mailbox.sources.window import opened

# Files by these names are mails or mailboxes, whatever is in them.
MAIL_SUFFIXES = SINGLE_SUFFIXES | {".mbox", ".mbx", ".pst", ".ost", ".olm", ".dbx"}
JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}
# What mail programs keep next to emails; it is skipped without a message.
_INDEXES = re.compile(
    r"\.|dovecot[.-](?:index|uid|keywords|subscriptions|acl|list|mailbox)|courier(?:imap|pop3)"
    r"|cyrus\.(?:header|index|cache|squat)|maildir(?:folder|size|filter)$|subscriptions$"
    r"|table_of_contents$|(?:.*\.)?(?:msf|dat|plist|noindex|emlxpart|sqlite.*)$|lock$"
    r"|(?:thumbs\.db|desktop\.ini)$|,|#",
    re.IGNORECASE,
)
_HEAD_BYTES = 8_192
_JSON_KEYS = re.compile(
    rb'"(subject|from|sender|to|body|text|html|bodyPreview|snippet|payload|toRecipients'
    rb'|threadId|internetMessageId|messageId|receivedAt|raw)"\s*:',
    re.IGNORECASE,
)
_SAVED_PAGE = b"From: <Saved by"  # a browser's .mhtml
_MAX_NAMED = 3


class MailFile(NamedTuple):
    """A file to read.

    Attributes:
        is_single: it is one mail, as in a Maildir, whatever its text looks like.
    """

    path: Path
    is_single: bool


class Folder:
    """A folder and all below it, in the order of names, each file once."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self._visited: set[tuple[int, int]] = set()
        self._num_taken = 0
        self._num_trashed = 0
        self._num_problems = 0
        self._others: list[str] = []
        self._num_others = 0

    def files(self) -> Iterator[MailFile]:
        """The mails and mailboxes; what else there is, is told in one line at the end."""
        waiting = [self._folder]
        while waiting:
            folder = waiting.pop()
            try:
                if self._is_new(folder):
                    yield from self._files_in(folder, waiting)
            except OSError as error:
                self._report(folder, f"cannot be read ({reason(error)}); see to its permissions")
        self._summarize()

    def _is_new(self, folder: Path) -> bool:
        """Links may lead in circles, and to what is reached without them."""
        facts = folder.stat()
        key = (facts.st_dev, facts.st_ino)
        is_new = key not in self._visited
        self._visited.add(key)
        return is_new

    def _files_in(self, folder: Path, waiting: list[Path]) -> Iterator[MailFile]:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: _order(entry.name))
        names = {entry.name for entry in entries}
        box = is_maildir(folder)
        deeper: list[Path] = []
        if box:
            yield from self._mails_of(folder, deeper)
        for entry in entries:
            path = Path(entry.path)
            if _is_folder(entry):
                if self._is_entered(path, names, box):
                    deeper.append(path)
            elif self._is_taken(path, names):
                self._num_taken += 1
                yield MailFile(path, is_single=has_flags(path.name))
        waiting.extend(reversed(deeper))

    def _mails_of(self, maildir: Path, deeper: list[Path]) -> Iterator[MailFile]:
        """Listed before the first is read, so that one which is seen meanwhile comes once."""
        paths: dict[str, list[Path]] = {}
        for folder in MAIL_FOLDERS:
            try:
                paths[folder] = listed(maildir / folder)
            except OSError as error:
                self._report(maildir / folder, f"cannot be read ({reason(error)})")
        seen = {maildir_key(path.name) for path in paths.get("cur", [])}
        news = [
            path
            for path in paths.get("new", [])
            if maildir_key(path.name) not in seen or os.path.lexists(path)
        ]
        for path in news + paths.get("cur", []):
            if path.is_dir():
                deeper.append(path)
            elif is_trashed(path.name):
                self._num_trashed += 1
            else:
                self._num_taken += 1
                yield MailFile(path, is_single=True)

    def _is_entered(self, path: Path, names: set[str], is_in_maildir: bool) -> bool:
        if is_in_maildir and path.name in (*MAIL_FOLDERS, "tmp"):
            return False
        if path.name.startswith("."):
            return is_maildir(path)  # Maildir++ has its folders so
        if path.name == "Attachments" and "Messages" in names:
            return False  # of Apple Mail's .partial.emlx: mails in them were attached
        return not (path.is_symlink() and path.resolve() in self._folder.resolve().parents)

    def _is_taken(self, path: Path, names: set[str]) -> bool:
        if is_trashed(path.name):
            self._num_trashed += 1
            return False
        is_named = _is_named_mail(path, names)
        if _INDEXES.match(path.name) and not is_named:
            return False
        try:
            if _is_link_within(path, self._folder):
                return False
            found = special(path.stat().st_mode)
            if found:
                self._report(path, f"is {found}, must be a file; it is passed over")
                return False
            if path.stat().st_size == 0 and path.suffix.lower() not in SINGLE_SUFFIXES:
                return False
            if is_named or looks_like_mail(path):
                return True
        except (NotAMail, OSError) as error:
            leads_nowhere = getattr(error, "errno", None) in (errno.ENOENT, errno.ELOOP)
            if is_named or not leads_nowhere:
                what = "is a link that leads nowhere" if leads_nowhere else reason(error)
                self._report(path, what)
                return False
        self._num_others += 1
        if len(self._others) < _MAX_NAMED:
            self._others.append(shown(path.name))
        return False

    def _report(self, path: Path, problem: str) -> None:
        self._num_problems += 1
        self._tell.report(f"{shown(path)}: {problem}")

    def _summarize(self) -> None:
        name = shown(self._folder)
        if self._num_trashed:
            self._tell.note(f"{name}: {self._num_trashed} mails in the bin (T flag), passed over")
        num_more = self._num_others - len(self._others)
        others = f"{', '.join(self._others)}{f' and {num_more} more' if num_more else ''}"
        if self._num_others and self._num_taken:
            self._tell.note(
                f"{name}: {self._num_taken} files of mails; {self._num_others} others are no "
                f"mails, and passed over ({others})"
            )
        elif self._num_others and not self._num_trashed:
            self._tell.report(
                f"{name}: has files ({others}) and no mails among them, must have .eml, mbox, "
                "JSON or a Maildir's `new` and `cur`; name the folder that has"
            )
        elif not self._num_taken + self._num_problems + self._num_trashed:
            self._tell.note(f"{name}: has no mails")


def looks_like_mail(path: Path) -> bool:
    """Whether a file is an email by its first kilobytes. Raises: NotAMail, OSError."""
    with open_file(path) as file:
        window = opened(io.BytesIO(file.read(_HEAD_BYTES)))
    window.ensure(_HEAD_BYTES)
    head = bytes(window.data)
    kind = foreign(head)
    if kind is not None:
        return kind.holds_mails
    if head.startswith(_SAVED_PAGE):
        return False
    if head.lstrip()[:1] in (b"{", b"["):
        keys = {key.lower() for key in _JSON_KEYS.findall(head)}
        return path.suffix.lower() in JSON_SUFFIXES and len(keys) > 1
    if head.startswith(MMDF) or is_emlx(window):
        return True
    if head.startswith(FROM):
        return known_headers(window, window.line_end(0, 1_000), is_tolerant=True) > 0
    return known_headers(window, 0) >= (1 if path.name.isdigit() else 2)


def _is_named_mail(path: Path, names: set[str]) -> bool:
    """Whether a file is an email by its name or by Thunderbird's index next to it."""
    return path.suffix.lower() in MAIL_SUFFIXES or f"{path.name}.msf" in names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_link_within(path: Path, folder: Path) -> bool:
    """Whether a link leads into the folder, where its target is read anyway."""
    if not path.is_symlink():
        return False
    return folder.resolve() in Path(os.path.realpath(path, strict=True)).parents


def _order(name: str) -> list[tuple[int, str]]:
    """2 before 10."""
    pieces = re.split(r"(\d+)", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]

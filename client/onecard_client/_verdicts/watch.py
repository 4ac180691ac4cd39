"""Yields the emails that arrive in a Maildir, each once.

Files are opened for reading, and nothing is changed, not even a flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources import (
    lasting,
    maildir_files,
    maildir_key,
    read_file,
    reason,
    shown,
)
from onecard_client.mail import Email


class Inbox:
    """A Maildir from now on: what lies in `cur`, somebody has seen; what lies in `new`, nobody.

    Args:
        only_later: take `new` as seen, too.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, folder: Path, *, only_later: bool = False) -> None:
        self._folder = folder
        there = maildir_files(folder)
        self._seen = {
            maildir_key(file.name) for file in there if only_later or file.parent.name == "cur"
        }
        self._is_lost = False

    def arrivals(self, report: Callable[[str], None]) -> Iterator[tuple[str, Email]]:
        """Key and content of every mail that is not marked; those that are none are reported."""
        for file in self._files(report):
            key = maildir_key(file.name)
            if key in self._seen:
                continue
            try:
                yield key, read_file(file, shown(lasting(file)))
            except FileNotFoundError:
                continue  # a mail program moved it, and it is found again next time
            except (NotAMail, OSError) as error:
                report(f"{file}: {reason(error)}")
                self.mark(key)

    def _files(self, report: Callable[[str], None]) -> list[Path]:
        """The files there. A folder that cannot be read is reported once; it may come back."""
        try:
            files = maildir_files(self._folder)
        except OSError as error:
            if not self._is_lost:
                report(f"{self._folder}: {reason(error)}; it is looked for again and again")
            self._is_lost = True
            return []
        self._is_lost = False
        return files

    def mark(self, key: str) -> None:
        """The mail `key` is done with."""
        self._seen.add(key)

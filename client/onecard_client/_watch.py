"""What arrives in a Maildir, each mail once.

Files are opened for reading, and nothing is changed, not even a flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from onecard_client._mailboxes import maildir_files, read_file, reason
from onecard_client._mime import NotAMail
from onecard_client.mail import Email


class Inbox:
    """A Maildir from now on: what lies in `cur`, somebody has seen; what lies in `new`, nobody.

    Args:
        only_later: take `new` as seen, too.
    """

    def __init__(self, folder: Path, *, only_later: bool = False) -> None:
        self._folder = folder
        there = maildir_files(folder)
        self._seen = {_key(file) for file in there if only_later or file.parent.name == "cur"}

    def arrivals(self, report: Callable[[str], None]) -> Iterator[tuple[str, Email]]:
        """Key and content of every mail that is not marked; those that are none are reported."""
        for file in maildir_files(self._folder):
            key = _key(file)
            if key in self._seen:
                continue
            try:
                yield key, read_file(file, key)
            except FileNotFoundError:
                continue  # a mail program moved it, and it is found again next time
            except (NotAMail, OSError) as error:
                report(f"{file}: {reason(error)}")
                self.mark(key)

    def mark(self, key: str) -> None:
        """The mail `key` is done with."""
        self._seen.add(key)


def _key(file: Path) -> str:
    """A mail's name for life: flags follow a colon (https://cr.yp.to/proto/maildir.html)."""
    return file.name.partition(":")[0]

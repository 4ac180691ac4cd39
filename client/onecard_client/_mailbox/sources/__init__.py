"""Emails from files, folders, mailboxes and standard input, which are never changed."""

from onecard_client._mailbox.sources.files import Report, reason, shown
from onecard_client._mailbox.sources.maildir import (
    MAIL_FOLDERS,
    is_maildir,
    lasting,
    maildir_files,
    maildir_key,
)
from onecard_client._mailbox.sources.reading import (
    MAX_ID_CHARACTERS,
    STDIN,
    read,
    read_file,
    with_own_ids,
)

__all__ = [
    "MAIL_FOLDERS",
    "MAX_ID_CHARACTERS",
    "STDIN",
    "Report",
    "is_maildir",
    "lasting",
    "maildir_files",
    "maildir_key",
    "read",
    "read_file",
    "reason",
    "shown",
    "with_own_ids",
]

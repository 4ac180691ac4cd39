"""An email from its bytes: headers decoded, one text out of its parts, attachments named.

Reading needs the packages of the extra `mail`, and imports them when the first mail is read.
"""

from __future__ import annotations

from onecard_client._errors import OnecardError
from onecard_client._mailbox.mime.bounds import (
    MAX_BODY_CHARACTERS,
    MAX_MAIL_BYTES,
    MAX_PARTS,
    NotAMail,
    sound,
)
from onecard_client.mail import Email

__all__ = [
    "MAX_BODY_CHARACTERS",
    "MAX_MAIL_BYTES",
    "MAX_PARTS",
    "CannotReadMails",
    "NotAMail",
    "email_from_bytes",
    "sound",
]


class CannotReadMails(OnecardError):
    """The packages that read emails are not installed."""


def email_from_bytes(raw: bytes, made_up_id: str) -> Email:
    """The email in `raw`, whatever is wrong with it.

    Args:
        raw: a mail as it was sent, or an Outlook `.msg`; of more than `MAX_MAIL_BYTES` the
            first are read.
        made_up_id: its id if it has no Message-Id.

    Raises:
        NotAMail: it has none of the headers that a mail has.
        CannotReadMails: a package of the extra `mail` is not installed.
    """
    try:
        from onecard_client._mailbox.mime.message import read
    except ImportError as error:
        raise CannotReadMails(
            f"reading emails needs more packages ({error}); pip install 'onecard[mail]'"
        ) from error
    return read(raw, made_up_id)

"""Mails as Outlook keeps them: .msg files, and winmail.dat, which is TNEF.

Both become MIME, so that they are read as any other mail is.
"""

from __future__ import annotations

from onecard_client._mailbox.mime.outlook.compound import is_compound
from onecard_client._mailbox.mime.outlook.msg import mime_of_msg
from onecard_client._mailbox.mime.outlook.tnef import mime_of_tnef
from onecard_client.mail import Email

__all__ = ["email_from_msg", "is_compound", "mime_of_msg", "mime_of_tnef"]


def email_from_msg(content: bytes, made_up_id: str) -> Email:
    """The email in an Outlook .msg.

    Args:
        made_up_id: its id if it has no Message-Id.

    Raises:
        NotAMail: it is damaged, or another kind of OLE file.
    """
    from onecard_client._mailbox.mime.message import read  # which may call this

    return read(mime_of_msg(content), made_up_id)

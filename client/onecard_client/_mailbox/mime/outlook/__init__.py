"""Emails in Outlook's formats: .msg files, and winmail.dat, which is TNEF.

Both are converted into MIME, so that they are read like any other email.
"""

from __future__ import annotations

from onecard_client._mailbox.mime.outlook.compound import is_compound
from onecard_client._mailbox.mime.outlook.msg import mime_of_msg
from onecard_client._mailbox.mime.outlook.tnef import mime_of_tnef

__all__ = ["is_compound", "mime_of_msg", "mime_of_tnef"]

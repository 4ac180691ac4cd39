"""A whole email: its headers, and one text made of its parts."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

from onecard_client._mailbox.mime.alternatives import Block
from onecard_client._mailbox.mime.armour import without_armour
from onecard_client._mailbox.mime.attachments import size
from onecard_client._mailbox.mime.authentication import authentication
from onecard_client._mailbox.mime.bounds import MAX_BODY_CHARACTERS, NotAMail, shortened, sound
from onecard_client._mailbox.mime.headers.words import header_text
from onecard_client._mailbox.mime.parts import OLE_SIGNATURE, blocks
from onecard_client._mailbox.mime.structure import Part, parse
from onecard_client.mail import Email

# One of these a mail has; a text that happens to begin with `Note: ` has not.
_MAIL_HEADERS = {
    "from", "to", "subject", "date", "message-id", "received", "return-path", "sender", "cc",
    "delivered-to", "reply-to",
}  # fmt: skip
_LABELS = ("x-gmail-labels", "keywords", "x-keywords", "x-mozilla-keys", "x-label", "x-labels")
_ADDRESS = re.compile(r"[^\s<>,;\"]{1,64}@[^\s<>,;\"]+")
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)
_GAPS = re.compile(r"\n{4,}")


def read(raw: bytes, made_up_id: str) -> Email:
    """The mail in `raw`; see `email_from_bytes`. Raises: NotAMail."""
    if raw.startswith(OLE_SIGNATURE):
        return email_from_msg(raw, made_up_id)
    part = parse(raw)
    if not any(name in _MAIL_HEADERS for name, _ in part.raw_items()):
        raise NotAMail("has no header of a mail, must begin with them (`From: `, `Date: `)")
    found = blocks(part)
    if part.num_left_out:
        found.append(Block("note", f"[{size(part.num_left_out)} of this mail are not read]"))
    failed = part.text("x-failed-recipients")  # of Exim's bounces
    if failed and not any(failed in block.text for block in found):
        found.append(Block("note", f"[could not be delivered to {failed}]"))
    subject = part.text("subject")
    body = shortened(joined(found), MAX_BODY_CHARACTERS)
    return Email(
        id=header_text(part.raw("message-id")).strip("<> ") or made_up_id,
        subject=subject,
        body=body if body or subject else "[empty mail]",
        sender=_sender(part),
        to=part.text("to") or part.text("bcc"),
        date=_date(part),
        cc=part.text("cc"),
        reply_to=part.text("reply-to"),
        authentication=authentication(part),
        labels=_labels(part),
        hidden_text=any(block.hides_text for block in found),
    )


def email_from_msg(content: bytes, made_up_id: str) -> Email:
    """The email in an Outlook .msg.

    Args:
        made_up_id: its id if it has no Message-Id.

    Raises:
        NotAMail: it is damaged, or another kind of OLE file.
    """
    from onecard_client._mailbox.mime.outlook import mime_of_msg  # only where there is one

    return read(mime_of_msg(content), made_up_id)


def joined(blocks: list[Block]) -> str:
    """One text of several blocks, with a line left empty between them."""
    texts = (without_armour(_with_line_ends(block.text)) for block in blocks)
    text = "\n\n".join(text.strip("\n") for text in texts if text.strip())
    return _GAPS.sub("\n\n\n", _BLANKS.sub("", sound(text))).strip()


def _with_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _sender(part: Part) -> str:
    """The author of an email, and its sender if that is another person."""
    author, sender = part.text("from"), part.text("sender")
    addresses = _ADDRESS.findall(sender.lower())
    if author and any(address not in author.lower() for address in addresses):
        return f"{author} (sent by {sender})"
    return author or sender or part.text("return-path")


def _date(part: Part) -> str:
    """The date in ISO 8601, else as written; without one, when the server received the email."""
    received = header_text(part.raw("received")).rpartition(";")[2].strip()
    text = header_text(part.raw("date"), *part.hints) or received
    try:
        date: datetime = parsedate_to_datetime(text)
        return date.isoformat()
    except (TypeError, ValueError, OverflowError, IndexError):
        return text


def _labels(part: Part) -> str:
    """The mailbox's own labels, with commas between."""
    text = part.text(*_LABELS)
    labels = (label.strip(' "') for label in re.split(r",", text))
    return ", ".join(dict.fromkeys(label for label in labels if label))

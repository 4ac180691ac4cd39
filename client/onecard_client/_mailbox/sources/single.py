"""A file that holds one email: as it was sent, or in Apple Mail's or Outlook's format."""

from __future__ import annotations

import re

from onecard_client._mailbox.mime import MAX_MAIL_BYTES, NotAMail, email_from_bytes
from onecard_client._mailbox.sources.files import Tell
from onecard_client._mailbox.sources.foreign import foreign
from onecard_client._mailbox.sources.mbox import without_separator
from onecard_client._mailbox.sources.window import Window
from onecard_client.mail import Email

SINGLE_SUFFIXES = {".eml", ".emlx", ".msg"}
EMPTY = "is empty, must hold a mail"

_COUNT = re.compile(rb"(\d{1,12})[ \t]*(?:\r\n|\n|\r)(?=[!-9;-~]+[ \t]*:|>*From )")
_PLIST = re.compile(rb"\s*<\?xml[^>]*>\s*(?:<!DOCTYPE[^>]*>\s*)?<plist\b")
_MAX_PLIST_BYTES = 1 << 16
_FLAGS = re.compile(rb"<key>flags</key>\s*<integer>(\d{1,20})</integer>")
# https://www.jwz.org/blog/2005/07/emlx-flags/
_EMLX_DELETED = 1 << 1


def is_emlx(window: Window) -> bool:
    """Whether the data begins with the length of the email that follows."""
    window.line_end(window.line_end(0, 100), 200)
    return _COUNT.match(window.data) is not None


def email_in(window: Window, name: str, tell: Tell) -> Email | None:
    """The one email in a file, whatever its body looks like; None if it is marked as deleted.

    Raises:
        NotAMail: it is none.
    """
    window.ensure(512)
    if window.is_blank():
        raise NotAMail(EMPTY)
    kind = foreign(bytes(window.data[:2000]))
    if kind is not None:
        raise NotAMail(f"is {kind.name}, must be a mail; {kind.remedy}")
    is_kept_by_apple = is_emlx(window)
    content = window.read(MAX_MAIL_BYTES)
    if is_kept_by_apple:
        content, is_deleted = _out_of_emlx(content)
        if is_deleted:
            tell.note(f"{name}: is deleted in Apple Mail, and passed over")
            return None
    _tell_rest(window, name, tell)
    return email_from_bytes(without_separator(content), name)


def _tell_rest(window: Window, name: str, tell: Tell) -> None:
    num_left = 0
    while window.ensure(1):
        num_left += len(window.data)
        window.drop(len(window.data))
    if num_left:
        tell.report(
            f"{name}: has {MAX_MAIL_BYTES + num_left} bytes, at most {MAX_MAIL_BYTES} are read; "
            f"its last {num_left} are left out"
        )


def _out_of_emlx(content: bytes) -> tuple[bytes, bool]:
    """The mail, and whether Apple Mail has it as deleted; the length is not always right."""
    found = _COUNT.match(content)
    if found is None:
        return content, False
    end = found.end() + int(found.group(1))
    if not _PLIST.match(content, min(end, len(content))):
        begins = content.rfind(b"<?xml", max(0, len(content) - _MAX_PLIST_BYTES))
        end = begins if begins >= 0 and _PLIST.match(content, begins) else len(content)
    flags = _FLAGS.search(content, end)
    return content[found.end() : end], bool(flags and int(flags.group(1)) & _EMLX_DELETED)

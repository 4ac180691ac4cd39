"""The emails of an mbox: each piece is yielded, skipped with a note, or reported."""

from __future__ import annotations

import re
from collections.abc import Iterator

from onecard_client._mailbox.mime import MAX_MAIL_BYTES, NotAMail, email_from_bytes
from onecard_client._mailbox.sources.files import Tell
from onecard_client._mailbox.sources.mbox import FROM, MMDF, Piece, Splitter
from onecard_client._mailbox.sources.window import Window
from onecard_client.mail import Email

# Thunderbird writes its own headers first, hence one below them is the sender's. The bit means
# that the mail is gone but still in the file (https://vincent.bernat.ch/en/x-mozilla-status).
_MOZILLA_STATUS = re.compile(
    rb"(?:X-(?:Account-Key|UIDL|Mozilla-\w+):[^\r\n]*[\r\n]+){0,9}?"
    rb"X-Mozilla-Status: *([0-9a-f]{4})\b",
    re.IGNORECASE,
)
_MOZILLA_EXPUNGED = 0x0008
# The first mail of UW-IMAP's and Pine's mailboxes holds their own data.
_INTERNAL = b"-- FOLDER INTERNAL DATA"
_MAX_INTERNAL_BYTES = 4_000


def emails_in_mbox(
    window: Window, name: str, tell: Tell, *, is_strict: bool = False
) -> Iterator[Email]:
    """The emails, each as soon as it is read.

    Args:
        name: of the file, for ids (`name@offset`) and reports.
        is_strict: the file may as well be one mail.

    Raises:
        NotAMail: the file is a single piece, and that is none.
    """
    separator = MMDF if window.data.startswith(MMDF) else FROM
    splitter = Splitter(window, is_strict=is_strict, separator=separator)
    num_deleted = 0
    for number, piece in enumerate(splitter.pieces()):
        raw = piece.mail()
        is_alone = number == 0 and not piece.is_separated and window.is_blank()
        if _is_deleted(raw):
            num_deleted += 1
        elif _is_internal(raw):
            tell.note(f"{name}: the first mail is the mailbox's own data, and passed over")
        elif raw.strip(b"\0 \t\r\n") or (number == 0 and piece.is_separated):
            made_up_id = name if is_alone else f"{name}@{piece.start}"
            try:
                yield email_from_bytes(raw, made_up_id)
            except NotAMail as error:
                if is_alone:
                    raise
                tell.report(f"{name}: at byte {piece.start}: {error}")
            _tell_cut(piece, name, tell)
    if num_deleted:
        tell.note(f"{name}: {num_deleted} deleted in Thunderbird (not compacted yet), passed over")
    if splitter.num_doubtful:
        tell.note(
            f"{name}: {splitter.num_doubtful} `From ` lines with a date have no mail behind them, "
            "and are read as text of the mails before them"
        )


def _tell_cut(piece: Piece, name: str, tell: Tell) -> None:
    num_cut = piece.num_bytes - len(piece.content)
    if num_cut:
        tell.report(
            f"{name}: the mail at byte {piece.start} has {piece.num_bytes} bytes, at most "
            f"{MAX_MAIL_BYTES} are read; its last {num_cut} are left out"
        )


def _is_deleted(raw: bytes) -> bool:
    found = _MOZILLA_STATUS.match(raw)
    return found is not None and bool(int(found.group(1), 16) & _MOZILLA_EXPUNGED)


def _is_internal(raw: bytes) -> bool:
    return len(raw) < _MAX_INTERNAL_BYTES and _INTERNAL in raw and b"X-IMAP" in raw

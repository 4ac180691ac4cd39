"""Formats of emails that are not read here: their names, and how to convert them."""

from __future__ import annotations

import re
from typing import NamedTuple

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Outlook's .msg, which `_mailbox.mime` reads


class Foreign(NamedTuple):
    """A kind of file that is refused.

    Attributes:
        name: with its article.
        remedy: what the user can do.
        holds_mails: such a file in a folder of mails is worth a word.
    """

    name: str
    remedy: str
    holds_mails: bool


_UNPACK = "unpack it, and give the folder"
_EXPORT = "save the mail itself, as .eml"
# By their first bytes, as in the `file` command's tables.
_SIGNATURES = (
    (b"!BDN", Foreign("an Outlook data file (.pst, .ost)",
        "export its folders as .eml or mbox, as `readpst` does", True)),
    (b"\xcf\xad\x12\xfe", Foreign("an Outlook Express folder (.dbx)",
        "export its mails as .eml: drag them into a folder", True)),
    (b"*mbx*", Foreign("a mailbox in UW-IMAP's mbx format",
        "copy it into an mbox, as `mailutil copy` does", True)),
    (b"BABYL OPTIONS", Foreign("an Emacs Rmail file (Babyl)",
        "save it as mbox, as `M-x rmail` of a later Emacs does", True)),
    (b"PK\x03\x04", Foreign("a zip archive (Takeout's download, Outlook for Mac's .olm)",
        f"{_UNPACK}; from an .olm export .eml files", False)),
    (b"PK\x05\x06", Foreign("an empty zip archive", "give the mails", False)),
    (b"BZh", Foreign("a file packed by bzip2", "unpack it", False)),
    (b"\xfd7zXZ\0", Foreign("a file packed by xz", "unpack it", False)),
    (b"\x28\xb5\x2f\xfd", Foreign("a file packed by zstd", "unpack it", False)),
    (b"\x1f\x8b", Foreign("a file packed by gzip twice", "unpack it", False)),
    (b"7z\xbc\xaf\x27\x1c", Foreign("a 7-Zip archive", _UNPACK, False)),
    (b"Rar!", Foreign("a RAR archive", _UNPACK, False)),
    (b"SQLite format 3", Foreign("a database of a mail program",
        "give its mailboxes, or export them as mbox", False)),
    (b"{\\rtf", Foreign("an RTF document", _EXPORT, False)),
    (b"%PDF", Foreign("a PDF", _EXPORT, False)),
    (b"bplist", Foreign("a property list", _EXPORT, False)),
    (b"-----BEGIN PGP", Foreign("encrypted by PGP", "decrypt it", False)),
)  # fmt: skip
_TAR = Foreign("a tar archive (Takeout's .tgz)", _UNPACK, False)
_PAGE = Foreign("a web page", _EXPORT, False)
_TABLE = Foreign("a table (CSV)", "export the mails as .eml, mbox or JSON", False)
_TAR_MARK = slice(257, 262)
_MARKUP = re.compile(rb"<(?:!doctype|html|head|body|\?xml|div|p|table|rss|feed)\b", re.IGNORECASE)
# Columns, one of them the subject; a header has a colon behind its name.
_CSV = re.compile(
    rb'(?=[^:]*\b(?:subject|betreff|objet)\b)"?[\w .()-]*"?[,;\t][^:]*[,;\t]', re.IGNORECASE
)


def foreign(head: bytes) -> Foreign | None:
    """The foreign format of a file by its first bytes, if it has one."""
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[_TAR_MARK] == b"ustar":
        return _TAR
    if _MARKUP.match(head):
        return _PAGE
    first = re.split(rb"[\r\n]", head[:2000], maxsplit=1)[0]
    return _TABLE if _CSV.match(first) else None

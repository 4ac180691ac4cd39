"""An email from its bytes: headers decoded, one text out of its parts, attachments named.

It knows MIME as it is found, with wrong charsets and broken headers; it does not know mailboxes.
"""

from __future__ import annotations

import codecs
import email
import email.policy
import re
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, NamedTuple

from onecard_client._html_text import html_to_text
from onecard_client.mail import Email

# What is read of one email; servers pass on 25 MB or so. Text comes before attachments.
MAX_MAIL_BYTES = 40_000_000
MAX_PARTS = 2_000
MAX_DEPTH = 16
# Of one header, as it stands in the mail. The email package takes a time for addresses that grows
# with the square of their length.
MAX_HEADER_CHARACTERS = 2_000
# What is sent of one body: beyond the window of every plan, so that the server shortens as it
# thinks best.
MAX_BODY_CHARACTERS = 200_000

# One of these a mail has; a text that happens to begin with `Note: ` has not.
_MAIL_HEADERS = ("from", "to", "subject", "date", "message-id", "received", "return-path", "sender")
# Declared are the smaller sets, meant are the larger (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {
    "iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030",
    "euc_kr": "cp949", "shift_jis": "cp932", "iso8859-9": "cp1254",
}  # fmt: skip
# Python's, and no charsets of mails; decoding punycode takes a time with the square of its length.
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined"}
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)
_GAPS = re.compile(r"\n{4,}")


class NotAMail(ValueError):
    """The bytes are not an email."""


class _Policy(email.policy.EmailPolicy):
    """The email package's default, for headers as they come: long, in UTF-8, or broken."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        value = value[:MAX_HEADER_CHARACTERS]
        if not value.isascii():  # raw bytes, which are UTF-8 nowadays if they are anything
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return _parsed_header(name, value)


# The parser asks for a part's type a dozen times, and most mails have the same few.
@lru_cache(maxsize=1024)
def _parsed_header(name: str, value: str) -> Any:
    try:
        return email.policy.default.header_fetch_parse(name, value)
    except Exception:  # IndexError and others, for headers that its authors did not meet
        return " ".join(value.split())


_POLICY: Any = _Policy()


class _Block(NamedTuple):
    kind: str  # plain, html or attachment
    text: str


def email_from_bytes(raw: bytes, made_up_id: str) -> Email:
    """The email in `raw`.

    Args:
        made_up_id: its id if it has no Message-Id.

    Raises:
        NotAMail: it has none of the headers that a mail has, or its parts are beyond reading.
    """
    try:
        message = _parse(raw)
        if not any(name in message for name in _MAIL_HEADERS):
            raise NotAMail("has no header of a mail, must begin with them (`From: `, `Date: `)")
        blocks = _blocks(message, 0)
        subject = _header(message, "subject")
        body = _shortened(_joined(blocks))
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        # the email package trips over what its authors did not meet
        raise NotAMail(
            f"cannot be read as a mail ({type(error).__name__}: {error}), must be MIME; "
            "open it in a mail program"
        ) from error
    return Email(
        id=_header(message, "message-id").strip("<> ") or made_up_id,
        subject=subject,
        body=body if body or subject else "[empty mail]",
        sender=_header(message, "from"),
        to=_header(message, "to"),
        date=_date(_header(message, "date")),
    )


def _parse(raw: bytes) -> EmailMessage:
    # every part costs kilobytes and half a millisecond, and begins with a line of `--`
    pieces = raw[:MAX_MAIL_BYTES].split(b"\n--", MAX_PARTS)
    bounded = b"\n--".join(pieces[:MAX_PARTS])
    return email.message_from_bytes(bounded, policy=_POLICY)


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(sound(str(message.get(name, ""))).split())


def sound(text: str) -> str:
    """Without lone surrogates, which UTF-8 does not have, and NULs."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _date(text: str) -> str:
    try:
        found: datetime = parsedate_to_datetime(text)
        return found.isoformat()
    except (TypeError, ValueError, OverflowError, IndexError):
        return text


def _blocks(part: Any, depth: int) -> list[_Block]:
    kind = part.get_content_type()
    if depth > MAX_DEPTH:
        return [_Block("attachment", "[parts nested too deeply to be read]")]
    if kind in ("message/rfc822", "message/global") and part.is_multipart():
        inner = part.get_payload(0)
        return [_Block("attachment", _heading(inner)), *_blocks(inner, depth + 1)]
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        branches = [_blocks(child, depth + 1) for child in part.get_payload()]
        if kind == "multipart/alternative":
            return _chosen(branches)
        return [block for branch in branches for block in branch]
    if part.get_content_disposition() == "attachment":
        return [_attachment(part)]
    if kind == "text/html":
        return [_Block("html", html_to_text(_text(part)))]
    if kind == "text/plain" or part.get_content_maintype() == "multipart":  # its boundary is lost
        return [_Block("plain", _text(part))]
    return [_attachment(part)]


def _chosen(branches: list[list[_Block]]) -> list[_Block]:
    """Of branches that say the same the plain one, else the HTML; and everybody's attachments."""
    best: list[_Block] = []
    for kind in ("plain", "html"):
        with_text = (branch for branch in branches if _has_text(branch, kind))
        best = best or next(with_text, [])
    others = (branch for branch in branches if branch is not best)
    return best + [block for other in others for block in other if block.kind == "attachment"]


def _has_text(branch: list[_Block], kind: str) -> bool:
    return any(block.kind == kind and block.text.strip() for block in branch)


def _text(part: Any) -> str:
    content = part.get_payload(decode=True) or b""
    for charset in _charsets(part.get_content_charset("ascii")):
        try:
            return sound(str(content.decode(charset)))
        except (UnicodeError, LookupError):  # LookupError: a codec that makes no text, such as hex
            continue
    return sound(content.decode("cp1252", "replace"))


def _charsets(declared: str) -> Iterator[str]:
    """Those worth trying, strictly: a text in UTF-8 that says otherwise is rarely anything else."""
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        name = "utf-8"
    meant = _MEANT.get(name, name)
    if meant.startswith("cp125"):
        yield "utf-8"
    if meant not in _NO_CHARSETS:
        yield meant
    yield "utf-8"


def _attachment(part: Any) -> _Block:
    content = part.get_payload(decode=True)
    facts = [sound(part.get_filename("")), part.get_content_type()]
    if isinstance(content, bytes):
        facts.append(_size(len(content)))
    named = ", ".join(" ".join(fact.split()) for fact in facts if fact)
    return _Block("attachment", f"[attachment: {named}]")


def _size(num_bytes: int) -> str:
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"


def _heading(message: EmailMessage) -> str:
    lines = (f"{name}: {_header(message, name)}" for name in ("From", "Date", "Subject"))
    return "\n".join(["[attached mail]", *lines])


def _joined(blocks: list[_Block]) -> str:
    texts = (block.text.replace("\r\n", "\n").replace("\r", "\n") for block in blocks)
    text = "\n\n".join(text.strip("\n") for text in texts if text.strip())
    return _GAPS.sub("\n\n\n", _BLANKS.sub("", text)).strip()


def _shortened(body: str) -> str:
    num_left_out = len(body) - MAX_BODY_CHARACTERS
    if num_left_out <= 0:
        return body
    tail = MAX_BODY_CHARACTERS // 4
    head = MAX_BODY_CHARACTERS - tail
    return f"{body[:head]}\n[... {num_left_out} characters left out ...]\n{body[-tail:]}"

"""The blocks of text in an email's parts, in their order."""

from __future__ import annotations

import re
from collections.abc import Callable

from onecard_client._mailbox.html import (
    declared_charset,
    html_to_text,
    is_html_document,
    looks_like_html,
)
from onecard_client._mailbox.html.unseen import without_unseen
from onecard_client._mailbox.mime.alternatives import Block, chosen, says_the_same
from onecard_client._mailbox.mime.attachments import attachment, is_attached, names
from onecard_client._mailbox.mime.bounds import MAX_DEPTH, MAX_PARTS, NotAMail
from onecard_client._mailbox.mime.charsets import codec_of_label, decoded
from onecard_client._mailbox.mime.signed import signed_content
from onecard_client._mailbox.mime.structure import Part, parse

OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
TNEF_SIGNATURE = b"\x78\x9f\x3e\x22"

_HTML = (
    *("text/html", "application/xhtml+xml", "text/xhtml", "text/x-html"),
    *("text/x-amp-html", "text/vnd.amp.html", "text/watch-html"),
)
_MAILS = ("message/rfc822", "message/global", "message/news", "text/rfc822", "message/partial")
_REPORTS = (
    "message/delivery-status",
    "message/global-delivery-status",
    "message/disposition-notification",
    "message/global-disposition-notification",
    "message/feedback-report",
    "message/tracking-status",
)
_CALENDARS = (
    "text/calendar",
    "application/ics",
    "text/x-vcalendar",
    "application/calendar",
    "text/ics",
)
_SIGNED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_BINARY = re.compile(
    rb"%PDF-|PK\x03\x04|\x89PNG|\xff\xd8\xff|GIF8|Rar!|7z\xbc|\x1f\x8b|MZ.\0|\xd0\xcf\x11\xe0", re.S
)
_ENRICHED_TAG = re.compile(r"<param>[^<]*</param>|</?[a-z][a-z-]{0,60}>", re.I)
MAX_LOOKED_AT = 4_000  # characters, to tell HTML from text
# A bit for each of many letters without width.
_BITS = re.compile("[\u200b\u200c\u200d\u2060\ufeff]{16,}")


def blocks(part: Part, depth: int = 0) -> list[Block]:
    """The blocks of text of a part and of those inside it."""
    if depth > MAX_DEPTH:
        return [_note("[parts nested too deeply to be read]")]
    if part.type.value.startswith("multipart/"):
        return _multipart(part, depth)
    if part.type.value in _MAILS:
        return _attached_mail(part.content(), part, depth)
    if part.type.value in ("text/rfc822-headers", "message/rfc822-headers"):
        return [_note(_heading(parse(part.content(), *part.hints)))]
    if part.type.value in _REPORTS:
        from onecard_client._mailbox.mime.bounce import delivery_text

        return [_note(delivery_text(part.content()))]
    hidden = part.hidden_children()
    if hidden:
        return _mixed([blocks(child, depth + 1) for child in hidden])
    return _leaf(part, depth)


def _note(text: str) -> Block:
    return Block("note", text)


def _multipart(part: Part, depth: int) -> list[Block]:
    children = part.children()[:MAX_PARTS]
    if not children:
        return _text_blocks(part, part.undecoded())
    branches = [blocks(child, depth + 1) for child in children]
    if part.type.value == "multipart/alternative":
        return chosen(branches)
    return _mixed(branches)


def _mixed(branches: list[list[Block]]) -> list[Block]:
    """One after the other; an HTML twin of the text before it says nothing new."""
    told: list[Block] = []
    for block in (block for branch in branches for block in branch):
        before = told[-1] if told else None
        if before and {before.kind, block.kind} == {"plain", "html"} and _are_twins(before, block):
            continue
        told.append(block)
    return told


def _are_twins(first: Block, second: Block) -> bool:
    same_size = len(first.text) < 3 * len(second.text) < 9 * len(first.text)
    return same_size and says_the_same(first.text, second.text)


def _attached_mail(content: bytes, part: Part, depth: int) -> list[Block]:
    mail = parse(content, *part.hints)
    if not mail.raw_items():
        return _text_blocks(part, content)
    return [_note(_heading(mail)), *blocks(mail, depth + 1)]


def _heading(mail: Part) -> str:
    lines = (f"{name}: {mail.text(name.lower())}".strip() for name in ("From", "Date", "Subject"))
    return "\n".join(["[attached mail]", *lines])


def _leaf(part: Part, depth: int) -> list[Block]:
    content = part.content()
    name = next(iter(names(part)), "").lower()
    reader = _reader(part, content, name)
    if reader is not None:
        return reader(content, part, depth)
    is_text = part.type.value.startswith("text/") or part.type.value in _HTML
    if is_text and not is_attached(part) and not _is_binary(content):
        return _text_blocks(part, content)
    return [_note(attachment(part, content))]


def _reader(
    part: Part, content: bytes, name: str
) -> Callable[[bytes, Part, int], list[Block]] | None:
    """The reader of a part that is more than an attachment; None if there is none."""
    kind = part.type.value
    if kind in _CALENDARS or name.endswith(".ics"):
        return _calendar
    if content.startswith(TNEF_SIGNATURE):
        return _tnef
    is_outlook = kind == "application/vnd.ms-outlook" or name.endswith(".msg")
    if content.startswith(OLE_SIGNATURE) and is_outlook:
        return _outlook_mail
    if name.endswith(".eml") and _is_mail(content):
        return _named_mail
    if kind in _SIGNED or name.endswith(".p7m"):
        return _signed
    return None


def _calendar(content: bytes, part: Part, depth: int) -> list[Block]:
    from onecard_client._mailbox.mime.calendars.invitation import invitation_text

    text = invitation_text(content)
    named = [_note(attachment(part, content))] if is_attached(part) or not text else []
    return named + ([_note(text)] if text else [])


def _tnef(content: bytes, part: Part, depth: int) -> list[Block]:
    from onecard_client._mailbox.mime.outlook import mime_of_tnef

    return blocks(parse(mime_of_tnef(content), *part.hints), depth + 1)


def _outlook_mail(content: bytes, part: Part, depth: int) -> list[Block]:
    from onecard_client._mailbox.mime.outlook import mime_of_msg

    named = _note(attachment(part, content))
    try:
        return [named, *_attached_mail(mime_of_msg(content), part, depth)]
    except NotAMail:
        return [named]


def _signed(content: bytes, part: Part, depth: int) -> list[Block]:
    named = _note(attachment(part, content))
    inner = signed_content(content)
    return [named, *blocks(parse(inner, *part.hints), depth + 1)] if inner else [named]


def _named_mail(content: bytes, part: Part, depth: int) -> list[Block]:
    return [_note(attachment(part, content)), *_attached_mail(content, part, depth)]


def _is_mail(content: bytes) -> bool:
    return bool(re.match(rb"[\s\xef\xbb\xbf]*[!-9;-~]{2,60}[ \t]*:", content[:200]))


def _is_binary(content: bytes) -> bool:
    return bool(_BINARY.match(content))


def _text_blocks(part: Part, content: bytes) -> list[Block]:
    if part.type.value in _HTML:
        return [_html_block(part, content)]
    text = decoded(content, part.type.get("charset"), *part.hints)
    is_html = is_html_document if part.raw("content-type") else looks_like_html
    if is_html(text[:MAX_LOOKED_AT]):
        return [_html_block(part, content)]
    if part.type.value in ("text/enriched", "text/richtext"):
        text = _ENRICHED_TAG.sub("", text).replace("<<", "<")
    if part.type.get("delsp").lower() == "yes":  # RFC 3676, 4.2
        text = re.sub(r" \r?\n", "", text)
    return [plain_block(text)]


def plain_block(text: str) -> Block:
    """Plain text without what no reader sees, and whether that was a message."""
    hides_bits = any(len(set(match[0])) > 1 for match in _BITS.finditer(text))
    shown, hides_text = without_unseen(text)
    return Block("plain", shown, hides_text or hides_bits)


def _html_block(part: Part, content: bytes) -> Block:
    text, hides_text = html_to_text(decoded(content, _html_charset(part, content), *part.hints))
    return Block("html", text, hides_text)


def _html_charset(part: Part, content: bytes) -> str:
    """The charset that the header names, or `<meta>` where that is none or cannot be."""
    declared = part.type.get("charset")
    meta = declared_charset(content[:4096]) or ""
    if not codec_of_label(meta) or codec_of_label(meta).startswith("utf-16"):
        return declared
    if not codec_of_label(declared):
        return meta
    try:
        content.decode(codec_of_label(declared))
    except (UnicodeError, LookupError):
        return meta
    return declared

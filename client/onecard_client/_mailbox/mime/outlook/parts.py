"""MIME parts made of Outlook's properties: texts, files, and invitations to meetings."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from onecard_client._mailbox.mime.outlook.mapi import Properties
from onecard_client._mailbox.mime.outlook.meeting import Meeting, calendar_of_meeting, is_meeting
from onecard_client._mailbox.mime.outlook.rtf import html_of_rtf

# Numbers of properties (MS-OXPROPS).
_MESSAGE_CLASS, _SUBJECT, _BODY, _RTF, _HTML = 0x001A, 0x0037, 0x1000, 0x1009, 0x1013
_START, _END, _NAME, _CONTENT_ID = 0x0060, 0x0061, 0x3001, 0x3712
_FILE_DATA, _LONG_NAME, _SHORT_NAME, _FILE_TYPE = 0x3701, 0x3707, 0x3704, 0x370E
# Those of a meeting are named (MS-OXOCAL); their numbers differ from file to file.
_PLACE, _START_WHOLE, _END_WHOLE = 0x8208, 0x820D, 0x820E

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,80}/[\w.+-]{1,80}", re.ASCII)
_UNREADABLE_RTF = "[the text is in a form of RTF that cannot be read]"


def text_parts(properties: Properties) -> list[bytes]:
    """One part, or none: the text, the HTML, which may be in RTF, or both as alternatives."""
    parts: list[bytes] = []
    plain = properties.text(_BODY)
    if plain.strip():
        parts.append(part("text/plain; charset=utf-8", plain.encode()))
    html, html_text = properties.data(_HTML), properties.text(_HTML)
    if html.strip():
        charset = properties.html_charset
        charset = f"; charset={charset}" if charset else ""
        parts.append(part(f"text/html{charset}", html))
    elif html_text.strip():
        parts.append(part("text/html; charset=utf-8", html_text.encode()))
    rtf = properties.data(_RTF)
    if rtf and not html.strip() and not html_text.strip():
        from_rtf = html_of_rtf(rtf)
        if from_rtf:
            parts.append(part("text/html; charset=utf-8", from_rtf.encode()))
        elif not parts:
            parts.append(part("text/plain; charset=utf-8", _UNREADABLE_RTF.encode()))
    return [multipart("alternative", parts)] if len(parts) > 1 else parts


def file_part(properties: Properties) -> bytes:
    """An attached file, with its name as long as it is."""
    content = properties.data(_FILE_DATA)
    media_type = _MEDIA_TYPE.match(properties.text(_FILE_TYPE))
    kind = media_type[0].lower() if media_type else "application/octet-stream"
    if kind.startswith("multipart/"):  # a signed mail keeps all of itself in one file
        return part("message/rfc822", content)
    names = map(properties.text, (_LONG_NAME, _SHORT_NAME, _NAME))
    name = next(filter(None, names), "unnamed")
    content_id = properties.text(_CONTENT_ID)
    is_inline = kind.startswith("image/") and content_id
    headers = [f"Content-Disposition: {'inline' if is_inline else 'attachment'}"]
    headers[0] += f"; filename*=UTF-8''{quote(' '.join(name[:1000].split()), safe='')}"
    headers += [f"Content-ID: <{quote(content_id[:200], safe='@')}>"] if is_inline else []
    return part(kind, content, headers)


def calendar_parts(properties: Properties, numbers: Mapping[int, int], sender: str) -> list[bytes]:
    """One part, or none if it is no meeting.

    Args:
        numbers: of the properties that have names, by these.
    """
    message_class = properties.text(_MESSAGE_CLASS)
    if not is_meeting(message_class):
        return []
    meeting = Meeting(
        title=properties.text(_SUBJECT),
        start=properties.time(numbers.get(_START_WHOLE, _START)) or properties.time(_START),
        end=properties.time(numbers.get(_END_WHOLE, _END)) or properties.time(_END),
        place=properties.text(numbers[_PLACE]) if _PLACE in numbers else "",
    )
    calendar = calendar_of_meeting(message_class, meeting, sender)
    return [part("text/calendar; charset=utf-8", calendar)] if calendar else []


def part(kind: str, content: bytes, headers: list[str] | None = None) -> bytes:
    """An entity, its headers first, in base64."""
    lines = [f"Content-Type: {kind}", "Content-Transfer-Encoding: base64", *(headers or [])]
    return "\r\n".join((*lines, "", "")).encode() + base64.encodebytes(content)


def multipart(kind: str, parts: list[bytes]) -> bytes:
    """An entity of entities."""
    boundary = secrets.token_hex(16).encode()
    lines = [b'Content-Type: multipart/%s; boundary="%s"\r\n' % (kind.encode(), boundary)]
    lines += [b"--%s\r\n%s" % (boundary, entity) for entity in parts]
    return b"\r\n".join((*lines, b"--%s--\r\n" % boundary))

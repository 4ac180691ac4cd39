"""Converts a message of Gmail's API into an email, with the bytes of its parts unchanged."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from onecard_client._mailbox.mime import NotAMail, sound

MAX_DEPTH = 20

_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_BOUNDARY = re.compile(r";\s*boundary=(?:\"[^\"]*\"|[^;\s]*)", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset=(?:\"[^\"]*\"|[^;\s]*)", re.IGNORECASE)
_NAME = re.compile(r"[!-9;-~]+\Z")
# Of the bytes as they were sent; here they are sent again.
_OWN = ("content-type", "content-transfer-encoding")


def decoded_base64(text: str) -> bytes:
    """Base64 in either alphabet, with or without padding. Raises: NotAMail."""
    kept = _NO_BASE64.sub("", text.replace("-", "+").replace("_", "/"))
    try:
        return base64.b64decode(kept + "=" * (-len(kept) % 4))
    except binascii.Error as error:
        raise NotAMail(f"has content that is not base64 ({error}); fetch it again") from error


def mail_of_payload(payload: dict[str, Any]) -> bytes:
    """`payload` of users.messages.get (`format=full`) as a mail. Raises: NotAMail."""
    return b"".join(_part(payload, "1", 0))


def _part(part: dict[str, Any], number: str, depth: int) -> Iterator[bytes]:
    headers = [header for header in _list(part, "headers") if isinstance(header, dict)]
    own = ""
    names = {str(header.get("name", "")).lower() for header in headers}
    if part.get("filename") and "content-disposition" not in names:
        yield f'Content-Disposition: attachment; filename="{_line(part["filename"])}"\r\n'.encode()
    for header in headers:
        name, value = str(header.get("name", "")), _line(header.get("value"))
        if name.lower() == "content-type":
            own = value
        if name.lower() not in _OWN and _NAME.match(name):
            yield f"{name}: {value}\r\n".encode()
    kind = own or _line(part.get("mimeType")) or "text/plain"
    children = [child for child in _list(part, "parts") if isinstance(child, dict)]
    if children and depth < MAX_DEPTH:
        boundary = f"=_{number}"
        yield f'Content-Type: {_BOUNDARY.sub("", kind)}; boundary="{boundary}"\r\n'.encode()
        for position, child in enumerate(children, start=1):
            yield f"\r\n--{boundary}\r\n".encode()
            yield from _part(child, f"{number}.{position}", depth + 1)
        yield f"\r\n--{boundary}--\r\n".encode()
        return
    content = _content(part)
    # Gmail gives texts in UTF-8, whatever the header says that came with them
    if kind.lower().startswith("text/") and b"\x1b" not in content and _is_utf8(content):
        kind = f"{_CHARSET.sub('', kind)}; charset=utf-8"
    yield f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    yield base64.encodebytes(content)


def _content(part: dict[str, Any]) -> bytes:
    body = part.get("body")
    data = body.get("data") if isinstance(body, dict) else None
    return decoded_base64(data) if isinstance(data, str) else b""


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _list(part: dict[str, Any], name: str) -> list[Any]:
    found = part.get(name)
    return found if isinstance(found, list) else []


def _line(value: Any) -> str:
    return " ".join(sound(value).split()) if isinstance(value, str) else ""

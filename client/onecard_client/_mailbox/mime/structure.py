"""The tree of an email's parts; Python's `email` parses the structure only.

Its policy `compat32` keeps headers and bodies as the bytes that they were, and never raises.
"""

from __future__ import annotations

import email
import email.policy
import re
from email.message import Message
from typing import Any

from onecard_client._mailbox.mime.bounds import MAX_HEADER_CHARACTERS, shortened
from onecard_client._mailbox.mime.headers import parameters
from onecard_client._mailbox.mime.headers.parameters import Parameters
from onecard_client._mailbox.mime.headers.words import header_text
from onecard_client._mailbox.mime.mending import HIDDEN_TYPES, mended
from onecard_client._mailbox.mime.transfer import without_encoding

_BOUNDARY_LINE = re.compile(
    rb"^--([^\s-][^\n]{0,199}?|-[^\n]{1,199}?)[ \t]*\n(?=content-[\w-]+[ \t]*:)", re.I | re.M
)
# Of a type that lacks its second half, or its first.
_WHOLE_TYPES = {
    "html": "text/html",
    "calendar": "text/calendar",
    "enriched": "text/enriched",
    "multipart": "multipart/mixed",
}
_BINARY_TYPES = ("application", "image", "audio", "video")


class Part:
    """One part of a mail: its headers as bytes, its children or its content.

    Attributes:
        type: Content-Type; its value is that of the mail's tree where the part says nothing.
        disposition: Content-Disposition.
        num_left_out: bytes behind the last part that is read, of a whole mail.
    """

    def __init__(self, message: Message[Any, Any], hints: tuple[str, ...], had_crlf: bool) -> None:
        self._message = message
        self._had_crlf = had_crlf
        self._headers = [
            (name.strip().lower(), _as_bytes(str(value))) for name, value in message.raw_items()
        ]
        declared = parameters.parse(self.raw("content-type"), *hints)
        charset = declared.get("charset")
        self.hints = tuple(dict.fromkeys(name for name in (charset, *hints) if name))
        self.type = self._read_type(declared)
        self.disposition = parameters.parse(self.raw("content-disposition"), *self.hints)
        self.num_left_out = 0

    def raw(self, name: str) -> bytes:
        """The first header of that name, in lower case; empty if there is none."""
        return next((value for key, value in self._headers if key == name), b"")

    def raw_items(self) -> list[tuple[str, bytes]]:
        """Every header in order: name in lower case, and value."""
        return self._headers

    def text(self, *names: str) -> str:
        """Every header of these names on one line, decoded, with commas between."""
        values = (value for name in names for key, value in self._headers if key == name)
        texts = dict.fromkeys(header_text(value, *self.hints) for value in values)
        joined = ", ".join(text for text in texts if text)
        return shortened(joined, MAX_HEADER_CHARACTERS, "left out")

    def children(self) -> list[Part]:
        """The parts of a multipart; a boundary that is lost is looked for."""
        if not self.type.value.startswith("multipart/"):
            return []
        children = self._given_children() or self._found_children(self.type.get("boundary"))
        for child in children:
            if self.type.value == "multipart/digest" and not child.raw("content-type"):
                child.type.value = "message/rfc822"
        return children

    def hidden_children(self) -> list[Part]:
        """Parts in a text without Content-Type: the header that named their boundary is lost."""
        return [] if self.raw("content-type") else self._found_children("")

    def content(self) -> bytes:
        """The bytes of a part that has no children, with its transfer encoding undone."""
        encoding = self.raw("content-transfer-encoding").decode("latin-1")
        return without_encoding(self.undecoded(), encoding)

    def size(self, content: bytes) -> int:
        """The bytes of `content` as they were sent, before line ends were made one byte each."""
        encoding = self.raw("content-transfer-encoding").lower()
        sent_as_lines = self._had_crlf and b"base64" not in encoding
        return len(content) + (content.count(b"\n") if sent_as_lines else 0)

    def undecoded(self) -> bytes:
        """The bytes between this part's headers and the next boundary."""
        del self._message["content-transfer-encoding"]  # so that nothing is decoded
        payload = self._message.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""

    def _read_type(self, declared: Parameters) -> Parameters:
        value = declared.value
        if not value:
            value = self._message.get_default_type()
        elif "/" not in value:
            major, _, minor = value.partition("-")
            binary = f"{major}/{minor or 'octet-stream'}" if major in _BINARY_TYPES else ""
            value = binary or _WHOLE_TYPES.get(value, "text/plain")
        for hidden, name in HIDDEN_TYPES.items():
            if value.startswith(hidden):
                value = name + value[len(hidden) :]
        declared.value = value
        return declared

    def _given_children(self) -> list[Part]:
        if not self._message.is_multipart():
            return []
        found = (each for each in self._message.get_payload() if isinstance(each, Message))
        given = [Part(each, self.hints, self._had_crlf) for each in found]
        return given + self._children_behind(_as_bytes(self._message.epilogue or ""))

    def _children_behind(self, epilogue: bytes) -> list[Part]:
        """Parts behind the end, where one within has the same boundary and ended for both."""
        boundary = _as_bytes(self._message.get_boundary() or "")
        if not boundary or b"--" + boundary not in epilogue:
            return []
        end = re.compile(rb"^--" + re.escape(boundary) + rb"--", re.M)
        head = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\n\n'
        return parse(head + end.sub(b"--" + boundary, epilogue), *self.hints)._given_children()

    def _found_children(self, boundary: str) -> list[Part]:
        content = self.undecoded()
        names = [boundary.encode("utf-8")] if boundary else []
        match = _BOUNDARY_LINE.search(content)
        names += [match[1]] if match else []
        for name in names:
            head = b'Content-Type: multipart/mixed; boundary="' + name.replace(b'"', b"") + b'"\n\n'
            found = parse(head + content, *self.hints)._given_children()
            if found:
                return found
        return []


def parse(raw: bytes, *hints: str) -> Part:
    """The mail in `raw`. Never raises.

    Args:
        hints: charsets that the mail around it names.
    """
    whole = mended(raw)
    try:
        message = email.message_from_bytes(whole.content, policy=email.policy.compat32)
    except RecursionError:  # mails within mails, hundreds of them
        headers, _, _ = whole.content.partition(b"\n\n")
        headers = re.sub(rb"(?im)^content-", b"x-content-", headers)
        text = b"\n\n[parts nested too deeply to be read]\n"
        message = email.message_from_bytes(headers + text, policy=email.policy.compat32)
    part = Part(message, hints, whole.had_crlf)
    part.num_left_out = whole.num_left_out
    return part


def _as_bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")

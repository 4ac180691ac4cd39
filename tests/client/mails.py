"""Mails made of the few lines that a test is about."""

from __future__ import annotations

from onecard_client import Email
from onecard_client._mailbox.mime import email_from_bytes

HEAD = b"From: a@example.com\r\nSubject: s\r\n"


def read(raw: bytes | str) -> Email:
    """The mail in `raw`."""
    return email_from_bytes(raw if isinstance(raw, bytes) else raw.encode(), "made-up")


def mail(body: bytes, *headers: bytes) -> bytes:
    """A mail with these headers besides From and Subject."""
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


def multipart(kind: str, *parts: bytes) -> bytes:
    """A mail of parts, each of which begins with its headers."""
    body = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"
    return mail(body, f'Content-Type: multipart/{kind}; boundary="B"'.encode())


def text_part(text: str, kind: str = "plain") -> bytes:
    """A part of UTF-8 text."""
    return f"Content-Type: text/{kind}; charset=utf-8\r\n\r\n{text}".encode()

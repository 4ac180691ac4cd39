"""A text, and what is read as the body of a mail."""

from __future__ import annotations

from mails import mail, read

TEXT = "Größe: please pay 120 EUR by Friday"


def body(content: bytes, *headers: str) -> str:
    return read(mail(content, *(header.encode() for header in headers))).body

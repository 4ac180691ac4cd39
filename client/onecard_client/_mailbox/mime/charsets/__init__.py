"""Charsets of mails: by the names that they are given, and by what the bytes look like."""

from __future__ import annotations

from onecard_client._mailbox.mime.charsets.decoding import codec_of_label, decoded

__all__ = ["codec_of_label", "decoded"]

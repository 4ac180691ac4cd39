"""Charsets of emails, by their declared names and by the bytes."""

from __future__ import annotations

from onecard_client._mailbox.mime.charsets.decoding import codec_of_label, decoded

__all__ = ["codec_of_label", "decoded"]

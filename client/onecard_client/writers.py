"""The file formats of a transcript, as texts."""

from __future__ import annotations

from onecard_formats.writers import (
    ALL_FORMATS,
    WRITERS,
    Writer,
    aud,
    json,
    rttm,
    srt,
    tsv,
    txt,
    vtt,
)

__all__ = [
    "ALL_FORMATS", "WRITERS", "Writer", "aud", "json", "rttm", "srt", "tsv", "txt", "vtt",
]  # fmt: skip

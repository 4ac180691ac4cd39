"""The line about an attachment: its names, its type, its size."""

from __future__ import annotations

from onecard_client._mailbox.mime import bounds
from onecard_client._mailbox.mime.headers.words import header_text
from onecard_client._mailbox.mime.structure import Part

MAX_NAME_CHARACTERS = 300


def names(part: Part) -> list[str]:
    """Every name that a part has, whole: two programs may show two of them."""
    found = [
        *part.disposition.texts.get("filename", []), *part.disposition.texts.get("name", []),
        *part.type.texts.get("name", []), *part.type.texts.get("filename", []),
    ]  # fmt: skip
    described = header_text(part.raw("content-description"), *part.hints)
    named = [name for name in dict.fromkeys(found) if name]
    return named or ([described] if "." in described else [])


def is_attached(part: Part) -> bool:
    """Whether a part is for saving rather than for reading."""
    return part.disposition.value.startswith("attach")


def attachment(part: Part, content: bytes) -> str:
    """One line, such as `[attachment: offer.pdf, application/pdf, 12 kB]`."""
    found = [bounds.shortened(name, MAX_NAME_CHARACTERS, "left out") for name in names(part)]
    named = found[:1] + [f"also named {name}" for name in found[1:4]]
    facts = [*named, part.type.value, size(part.size(content))]
    return f"[attachment: {', '.join(facts)}]"


def size(num_bytes: int) -> str:
    """Such as `12 kB`."""
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"

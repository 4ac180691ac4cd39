"""One token as its callers see it: its text where it has one, else the bytes that it stands for."""

from __future__ import annotations

PREFIX = "bytes:"


def shown(data: bytes) -> str:
    """The text of `data`; part of a character as OpenAI writes it: `bytes:\\\\xf0\\\\x9f`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return PREFIX + "".join(f"\\x{byte:02x}" for byte in data)

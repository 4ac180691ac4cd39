"""A header that names what a request had and nothing here follows."""

from __future__ import annotations

from collections.abc import Iterable

HEADER = "x-onecard-ignored"
MAX_CHARS = 1000
_MAX_NAME_CHARS = 80


def headers(names: Iterable[str]) -> dict[str, str]:
    """The header for these names, as far as they fit; none for no names."""
    shown = ", ".join(_shown(name) for name in names)
    return {HEADER: shown[:MAX_CHARS]} if shown else {}


def _shown(name: str) -> str:
    """What a header can carry of a name."""
    text = name[:_MAX_NAME_CHARS].encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in text)

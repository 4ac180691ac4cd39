"""Decides whether a media query holds for the screen of a desktop."""

from __future__ import annotations

import re

# A reading pane; wider than every `max-width` that is meant for telephones.
SCREEN_WIDTH = 1024
_FEATURE = re.compile(r"\(\s*([\w-]+)\s*(?::\s*([^)]*))?\)")


def is_for_screens(queries: str) -> bool:
    """Whether one of several media queries holds for a desktop's screen."""
    return any(_is_screen(query) for query in queries.lower().split(","))


def _is_screen(query: str) -> bool:
    """Whether a media query holds for a desktop's screen; of what is unknown it does not."""
    words = [word for word in _FEATURE.sub(" ", query).split() if word not in ("and", "only")]
    if any(word not in ("all", "screen") for word in words):
        return False
    return all(_holds(name, value) for name, value in _FEATURE.findall(query))


def _holds(name: str, value: str) -> bool:
    number = re.match(r"([\d.]+)\s*(px|em|rem)?", value.strip())
    if name.removeprefix("min-").removeprefix("max-") in ("width", "device-width") and number:
        width = float(number[1]) * (16 if number[2] in ("em", "rem") else 1)
        return width <= SCREEN_WIDTH if name.startswith("min-") else width >= SCREEN_WIDTH
    return name == "prefers-color-scheme" and value.strip() == "light"

"""Colours of CSS and of HTML's attributes, and whether one is seen on another."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import tinycss2  # type: ignore[import-untyped]
from tinycss2.color4 import parse_color  # type: ignore[import-untyped]

# Below these, no reader tells letters from their ground: WCAG's ratio (4.5 is called readable),
# and the difference in red, green or blue. Footers have #ccc on white, 1.6 and 51.
MIN_CONTRAST = 1.2
MIN_DIFFERENCE = 32


class Colour(NamedTuple):
    """Red, green, blue and opacity, 0 to 1 each."""

    red: float
    green: float
    blue: float
    alpha: float = 1.0

    def over(self, ground: Colour) -> Colour:
        """The visible colour when this one is painted on `ground`."""
        pairs = zip(self[:3], ground[:3], strict=True)
        mixed = (self.alpha * top + (1 - self.alpha) * below for top, below in pairs)
        red, green, blue = mixed
        return Colour(red, green, blue)


WHITE = Colour(1, 1, 1)
BLACK = Colour(0, 0, 0)
LINK = Colour(0, 0, 0.93)


def is_colour(value: str) -> bool:
    return value in ("inherit", "initial", "unset", "currentcolor") or colour(value) is not None


@lru_cache(maxsize=512)
def colour(value: str) -> Colour | None:
    """The colour that CSS calls so; None for what is none of its own."""
    try:
        parsed = parse_color(value[:200])
        if parsed is None or isinstance(parsed, str):
            return None
        red, green, blue = parsed.to("srgb").coordinates[:3]
    except (ValueError, TypeError, NotImplementedError, ZeroDivisionError):
        return None
    return Colour(_share(red), _share(green), _share(blue), _share(parsed.alpha))


def _share(part: float | None) -> float:
    return min(1.0, max(0.0, float(part or 0)))


def attribute_colour(value: str) -> Colour | None:
    """The colour of an attribute such as `bgcolor`, in which the hash may be missing."""
    value = value.strip().lower()
    if re.fullmatch("[0-9a-f]{6}|[0-9a-f]{3}", value):
        value = "#" + value
    return colour(value)


def gradient_colours(value: str) -> list[Colour]:
    """The colours at the stops of a gradient."""
    colours = []
    for node in tinycss2.parse_component_value_list(value):
        if node.type == "function" and node.lower_name.endswith("gradient"):
            parts = (tinycss2.serialize([part]) for part in node.arguments)
            colours += [found for found in map(colour, parts) if found is not None]
    return colours


def is_seen(letters: Colour, ground: Colour) -> bool:
    """Whether letters stand out from their ground, which is opaque."""
    mixed = letters.over(ground)
    difference = max(abs(a - b) for a, b in zip(mixed[:3], ground[:3], strict=True))
    if difference * 255 > MIN_DIFFERENCE:
        return True
    light, dark = sorted((_luminance(mixed), _luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05) >= MIN_CONTRAST


def _luminance(seen: Colour) -> float:
    # https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in seen[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

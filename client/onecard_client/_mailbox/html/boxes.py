"""Finds boxes that CSS cuts to nothing or moves off the screen; and lengths in pixels."""

from __future__ import annotations

import re

# A box of this is a line.
MAX_LINE_PX = 2.0
# Beyond every reading pane.
FAR_PX = 500.0
FAR_RIGHT_PX = 3000.0

LENGTH = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)([a-z]*|%)")
_PX = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945,
    "rem": 16.0, "ex": 8.0, "ch": 8.0, "vw": 10.24, "vh": 7.68, "vmin": 7.68, "vmax": 10.24,
}  # fmt: skip
_FUNCTION = re.compile(r"([a-z0-9]+)\(([^)]*)\)")


def is_clipped(tag: str, styles: dict[str, str], font_px: float) -> bool:
    """Whether a box of no size cuts its text off, or a clip does."""
    overflow = " ".join(styles.get(f"overflow{axis}", "") for axis in ("", "-x", "-y"))
    if any(word in overflow for word in ("hidden", "clip", "scroll", "auto")):
        sides = ["max-width"] if tag in ("td", "th") else ["width", "max-width"]
        is_padded = pixels(styles.get("padding-bottom", "0"), font_px) > MAX_LINE_PX
        is_tall = pixels(styles.get("min-height", "0"), font_px) > MAX_LINE_PX
        if not is_padded and not is_tall:
            sides += ["height", "max-height"]
        is_pushed_out = (
            styles.get("text-indent") == "100%" and styles.get("white-space") == "nowrap"
        )
        if is_pushed_out or any(_is_thin(styles.get(side), font_px) for side in sides):
            return True
    if styles.get("position") in ("absolute", "fixed") and _is_cut(styles.get("clip", "")):
        return True
    return _is_clip_path_empty(styles.get("clip-path", ""), font_px)


def _is_thin(value: str | None, font_px: float) -> bool:
    if not value:
        return False
    match = LENGTH.fullmatch(value)
    return match is not None and pixels(value, font_px) <= MAX_LINE_PX


def _is_cut(clip: str) -> bool:
    match = re.fullmatch(r"rect\(([^)]*)\)", clip)
    if not match:
        return False
    sides = re.split(r"[\s,]+", match[1].strip())
    if len(sides) != 4 or "auto" in sides:
        return False
    top, right, bottom, left = (pixels(side, 16.0) for side in sides)
    return right - left <= MAX_LINE_PX or bottom - top <= MAX_LINE_PX


def _is_clip_path_empty(path: str, font_px: float) -> bool:
    match = re.match(r"(inset|circle|ellipse|polygon)\(([^)]*)\)", path)
    if not match:
        return False
    values = match[2].split(" round ")[0].split(" at ")[0]
    if match[1] == "polygon":
        points = [point.split() for point in values.split(",")]
        return any(len({p[axis] for p in points if len(p) > axis}) <= 1 for axis in (0, 1))
    lengths = re.split(r"[\s,]+", values.strip())
    if match[1] == "inset":
        sides = (lengths + [""] * 4)[:4]
        top, right = sides[0], sides[1] or sides[0]
        bottom, left = sides[2] or top, sides[3] or right
        return _percent(top) + _percent(bottom) >= 100 or _percent(right) + _percent(left) >= 100
    return bool(values.strip()) and any(
        LENGTH.fullmatch(length) and pixels(length, font_px) <= 1 for length in lengths
    )


def _percent(value: str) -> float:
    return number_of(value.rstrip("%"), 0.0) if value.endswith("%") else 0.0


def is_off_screen(styles: dict[str, str], font_px: float) -> bool:
    names = ["margin-left", "margin-top", "padding-left"]
    if styles.get("position", "static") in ("absolute", "fixed", "relative", "sticky"):
        names += ["left", "right", "top", "bottom"]
    return any(
        is_far(
            styles[name],
            font_px,
            is_right_far=name in ("left", "top", "margin-left", "padding-left"),
        )
        for name in names
        if name in styles
    )


def is_far(value: str, font_px: float, is_right_far: bool) -> bool:
    match = LENGTH.fullmatch(value)
    if not match:
        return False
    if match[2] == "%":
        return float(match[1]) <= -100
    length = pixels(value, font_px)
    return length <= -FAR_PX or (is_right_far and length >= FAR_RIGHT_PX)


def is_transformed_away(styles: dict[str, str], font_px: float) -> bool:
    functions = _FUNCTION.findall(styles.get("transform", ""))
    functions += [
        (name, styles[name].replace(" ", ",")) for name in ("translate", "scale") if name in styles
    ]
    for name, arguments in functions:
        values = [value.strip() for value in arguments.split(",")]
        if name.startswith("translate") and any(
            is_far(value, font_px, is_right_far=True) for value in values
        ):
            return True
        numbers = [number_of(value, 1.0) for value in values]
        if name.startswith("scale") and any(abs(number) < 0.1 for number in numbers[:2]):
            return True
        if name == "matrix" and len(numbers) == 6 and abs(numbers[0]) + abs(numbers[1]) < 0.1:
            return True
        if name in ("rotatex", "rotatey") and values[0] in ("90deg", "-90deg", "270deg"):
            return True
    return False


def pixels(value: str, font_px: float) -> float:
    """A length in pixels; one that cannot be told is that of a line."""
    match = LENGTH.fullmatch(value)
    if not match:
        return 16.0
    unit = {"em": font_px, "%": 1.0}.get(match[2]) or _PX.get(match[2], 1.0)
    return float(match[1]) * unit


def number_of(value: str, default: float) -> float:
    match = LENGTH.fullmatch(value)
    if not match or match[2] not in ("", "%"):
        return default
    return float(match[1]) / (100 if match[2] == "%" else 1)

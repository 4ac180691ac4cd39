"""Whether the text of an element is seen, from its styles and those around it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from onecard_client._html.colours import (
    BLACK,
    LINK,
    WHITE,
    Colour,
    attribute_colour,
    colour,
    gradient_colours,
    is_seen,
)

# Smaller letters are dots; legal notices have 6 to 8.
MIN_FONT_PX = 4.0
MIN_OPACITY = 0.1
# A box of this is a line.
MAX_LINE_PX = 2.0
# Beyond every reading pane.
FAR_PX = 500.0
FAR_RIGHT_PX = 3000.0
# Elements that are not text, or not the mail's.
NOT_TEXT = frozenset({"script", "style", "title", "head", "meta", "link", "base"})
# Elements whose text is not shown.
NEVER_SHOWN = frozenset({"template", "noscript", "svg", "math-annotation", "iframe", "datalist"})

_LENGTH = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)([a-z]*|%)")
_PX = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78, "q": 0.945,
    "rem": 16.0, "ex": 8.0, "ch": 8.0, "vw": 10.24, "vh": 7.68, "vmin": 7.68, "vmax": 10.24,
}  # fmt: skip
_FONT_SIZES = {
    "xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0,
    "x-large": 24.0, "xx-large": 32.0, "xxx-large": 48.0, "initial": 16.0,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How the text of an element looks; children begin with that of their parent."""

    is_out: bool = False  # not shown, whatever the children say
    is_invisible: bool = False  # `visibility`, which a child can undo
    font_px: float = 16.0
    opacity: float = 1.0
    letters: Colour = BLACK
    ground: Colour | None = WHITE  # None below images, of which the colour is not known
    is_flat: bool = False  # lines without height
    is_indented: bool = False  # beyond the pane
    has_own_paint: bool = False  # shadows, or letters cut out of an image
    keeps_lines: bool = False

    @property
    def shows_images(self) -> bool:
        """Whether an image is seen; its size is not that of letters."""
        return not (self.is_out or self.is_invisible or self.is_indented)

    @property
    def shows_text(self) -> bool:
        if not self.shows_images or self.font_px < MIN_FONT_PX or self.is_flat:
            return False
        if self.has_own_paint or self.ground is None:
            return True
        return is_seen(self.letters, self.ground)


Attributes = dict[str, "str | None"]


def look_of(tag: str, attributes: Attributes, styles: dict[str, str], parent: Look) -> Look:
    """The look of an element within one that has the look `parent`."""
    if tag in NOT_TEXT or tag in NEVER_SHOWN:
        return replace(parent, is_out=True)
    if tag in ("pre", "listing", "textarea", "xmp", "plaintext"):
        parent = replace(parent, keeps_lines=True)
    if not styles and not attributes:
        return parent
    look = _painted(tag, attributes, styles, _sized(styles, parent))
    is_out = look.is_out or _is_out(tag, attributes, styles, look)
    visibility = styles.get("visibility", "inherit")
    if visibility != "inherit" and not _is_animated(styles):
        look = replace(look, is_invisible=visibility in ("hidden", "collapse"))
    white_space = styles.get("white-space")
    if white_space:
        look = replace(look, keeps_lines=white_space.startswith(("pre", "break-spaces")))
    return replace(look, is_out=is_out)


def _sized(styles: dict[str, str], parent: Look) -> Look:
    look = parent
    font_size = styles.get("font-size")
    if font_size:
        look = replace(look, font_px=_font_px(font_size, parent.font_px))
    line_height = styles.get("line-height")
    if line_height:
        look = replace(look, is_flat=_is_flat(line_height, look.font_px))
    indent = styles.get("text-indent")
    if indent:
        look = replace(look, is_indented=_is_far(indent, look.font_px, is_right_far=True))
    return look


def _painted(tag: str, attributes: Attributes, styles: dict[str, str], look: Look) -> Look:
    opacity = _number(styles.get("opacity", "1"), 1.0)
    faded = re.search(r"opacity\(\s*([\d.]+%?)\s*\)", styles.get("filter", ""))
    if faded:
        opacity = min(opacity, _number(faded[1], 1.0))
    if opacity < 1 and not _is_animated(styles):
        look = replace(look, opacity=look.opacity * opacity)
    letters = _letters(tag, attributes, styles, look)
    ground = _ground(attributes, styles, look, letters)
    clip = styles.get("background-clip") or styles.get("-webkit-background-clip")
    shadow = styles.get("text-shadow", "none")
    has_own_paint = look.has_own_paint or clip == "text" or shadow != "none"
    return replace(look, letters=letters, ground=ground, has_own_paint=has_own_paint)


def _letters(tag: str, attributes: Attributes, styles: dict[str, str], look: Look) -> Colour:
    letters = look.letters
    attribute = {"font": "color", "body": "text"}.get(tag)
    if tag == "a" and "href" in attributes:
        letters = LINK
    elif attribute and attributes.get(attribute):
        letters = attribute_colour(attributes[attribute] or "") or letters
    for name in ("color", "-webkit-text-fill-color"):
        value = styles.get(name)
        if value in ("inherit", "unset"):
            letters = look.letters
        elif value == "initial":
            letters = BLACK
        elif value:
            letters = colour(value) or letters
    return letters


def _ground(
    attributes: Attributes, styles: dict[str, str], look: Look, letters: Colour
) -> Colour | None:
    ground = look.ground
    image = styles.get("background-image", "none")
    value = styles.get("background-color", "")
    own = letters if value == "currentcolor" else colour(value)
    if own is None and attributes.get("bgcolor"):
        own = attribute_colour(attributes["bgcolor"] or "")
    if own is not None and own.alpha > 0:
        ground = own.over(ground or WHITE)
    if attributes.get("background") or "url(" in image:
        return None
    stops = gradient_colours(image) if "gradient(" in image else []
    if stops:
        is_plain = not any(is_seen(stop, stops[0]) for stop in stops[1:])
        return stops[0].over(ground or WHITE) if is_plain else None
    return ground


def _is_out(tag: str, attributes: Attributes, styles: dict[str, str], look: Look) -> bool:
    display = styles.get("display")
    if display == "none" or ("hidden" in attributes and display is None):
        return True
    if tag == "dialog" and "open" not in attributes:
        return True
    if not styles:
        return False
    if look.opacity < MIN_OPACITY:
        return True
    if styles.get("mso-hide") == "all" and tag != "a":
        return True
    return (
        styles.get("content-visibility") == "hidden"
        or _is_clipped(tag, styles, look)
        or _is_off_screen(styles, look)
        or (_is_transformed_away(styles, look) and not _is_animated(styles))
    )


def _is_clipped(tag: str, styles: dict[str, str], look: Look) -> bool:
    """Whether a box of no size cuts its text off, or a clip does."""
    overflow = " ".join(styles.get(f"overflow{axis}", "") for axis in ("", "-x", "-y"))
    if any(word in overflow for word in ("hidden", "clip", "scroll", "auto")):
        sides = ["max-width"] if tag in ("td", "th") else ["width", "max-width"]
        is_padded = _px(styles.get("padding-bottom", "0"), look.font_px) > MAX_LINE_PX
        is_tall = _px(styles.get("min-height", "0"), look.font_px) > MAX_LINE_PX
        if not is_padded and not is_tall:
            sides += ["height", "max-height"]
        if any(_is_thin(styles.get(side), look.font_px) for side in sides):
            return True
    if styles.get("position") in ("absolute", "fixed") and _is_cut(styles.get("clip", "")):
        return True
    return _is_clip_path_empty(styles.get("clip-path", ""), look.font_px)


def _is_thin(value: str | None, font_px: float) -> bool:
    if not value:
        return False
    match = _LENGTH.fullmatch(value)
    return match is not None and _px(value, font_px) <= MAX_LINE_PX


def _is_cut(clip: str) -> bool:
    match = re.fullmatch(r"rect\(([^)]*)\)", clip)
    if not match:
        return False
    sides = re.split(r"[\s,]+", match[1].strip())
    if len(sides) != 4 or "auto" in sides:
        return False
    top, right, bottom, left = (_px(side, 16.0) for side in sides)
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
        _LENGTH.fullmatch(length) and _px(length, font_px) <= 1 for length in lengths
    )


def _percent(value: str) -> float:
    return _number(value.rstrip("%"), 0.0) if value.endswith("%") else 0.0


def _is_off_screen(styles: dict[str, str], look: Look) -> bool:
    names = ["margin-left", "margin-top"]
    if styles.get("position", "static") in ("absolute", "fixed", "relative", "sticky"):
        names += ["left", "right", "top", "bottom"]
    return any(
        _is_far(styles[name], look.font_px, is_right_far=name in ("left", "top", "margin-left"))
        for name in names
        if name in styles
    )


def _is_far(value: str, font_px: float, is_right_far: bool) -> bool:
    match = _LENGTH.fullmatch(value)
    if not match:
        return False
    if match[2] == "%":
        return float(match[1]) <= -100
    length = _px(value, font_px)
    return length <= -FAR_PX or (is_right_far and length >= FAR_RIGHT_PX)


_FUNCTION = re.compile(r"([a-z0-9]+)\(([^)]*)\)")


def _is_transformed_away(styles: dict[str, str], look: Look) -> bool:
    functions = _FUNCTION.findall(styles.get("transform", ""))
    functions += [
        (name, styles[name].replace(" ", ",")) for name in ("translate", "scale") if name in styles
    ]
    for name, arguments in functions:
        values = [value.strip() for value in arguments.split(",")]
        if name.startswith("translate") and any(
            _is_far(value, look.font_px, is_right_far=True) for value in values
        ):
            return True
        numbers = [_number(value, 1.0) for value in values]
        if name.startswith("scale") and any(abs(number) < 0.1 for number in numbers[:2]):
            return True
        if name == "matrix" and len(numbers) == 6 and abs(numbers[0]) + abs(numbers[1]) < 0.1:
            return True
        if name in ("rotatex", "rotatey") and values[0] in ("90deg", "-90deg", "270deg"):
            return True
    return False


def _is_animated(styles: dict[str, str]) -> bool:
    """Whether a style is only what an animation begins with."""
    return styles.get("animation", styles.get("animation-name", "none")).split()[0] != "none"


def _font_px(value: str, parent_px: float) -> float:
    if value in _FONT_SIZES:
        return _FONT_SIZES[value]
    if value in ("smaller", "larger"):
        return parent_px * (0.83 if value == "smaller" else 1.2)
    match = _LENGTH.fullmatch(value)
    if not match or float(match[1]) < 0:
        return parent_px
    if match[2] == "%":
        return float(match[1]) / 100 * parent_px
    return _px(value, parent_px)


def _is_flat(value: str, font_px: float) -> bool:
    match = _LENGTH.fullmatch(value)
    if not match or float(match[1]) < 0:
        return False
    factor = {"": font_px, "%": font_px / 100}.get(match[2])
    height = float(match[1]) * factor if factor is not None else _px(value, font_px)
    return height <= 1 and font_px > 0


def _px(value: str, font_px: float) -> float:
    """A length in pixels; one that cannot be told is that of a line."""
    match = _LENGTH.fullmatch(value)
    if not match:
        return 16.0
    unit = {"em": font_px, "%": 1.0}.get(match[2]) or _PX.get(match[2], 1.0)
    return float(match[1]) * unit


def _number(value: str, default: float) -> float:
    match = _LENGTH.fullmatch(value)
    if not match or match[2] not in ("", "%"):
        return default
    return float(match[1]) / (100 if match[2] == "%" else 1)

"""Decides whether the text of an element is visible, by its styles and those around it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from onecard_client._mailbox.html.boxes import (
    LENGTH,
    is_clipped,
    is_far,
    is_off_screen,
    is_transformed_away,
    number_of,
    pixels,
)
from onecard_client._mailbox.html.colours import (
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
# Elements that are not text, or not the mail's.
NOT_TEXT = frozenset({"script", "style", "title", "head", "meta", "link", "base"})
# Elements whose text is not shown.
NEVER_SHOWN = frozenset({"datalist", "x-unseen"})

_FONT_SIZES = {
    "xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0,
    "x-large": 24.0, "xx-large": 32.0, "xxx-large": 48.0, "initial": 16.0,
}  # fmt: skip


_PREVIEW = re.compile(r"pre-?_?header|preview(?!s)", re.I)


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
    is_preview: bool = False  # shown in the inbox, next to the subject

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
    if not styles and not attributes and tag != "dialog":
        return parent
    look = _painted(tag, attributes, styles, _sized(styles, parent))
    if _PREVIEW.search(f"{attributes.get('class')} {attributes.get('id')}"):
        look = replace(look, is_preview=True)
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
    zoom = number_of(styles.get("zoom", "1"), 1.0)
    if 0 < zoom < 1:
        look = replace(look, font_px=look.font_px * zoom)
    line_height = styles.get("line-height")
    if line_height:
        look = replace(look, is_flat=_is_flat(line_height, look.font_px))
    spacing = styles.get("letter-spacing")
    if spacing:  # letters upon each other
        is_flat = pixels(spacing, look.font_px) < -0.4 * look.font_px
        look = replace(look, is_flat=look.is_flat or is_flat)
    indent = styles.get("text-indent")
    if indent:
        look = replace(look, is_indented=is_far(indent, look.font_px, is_right_far=True))
    return look


def _painted(tag: str, attributes: Attributes, styles: dict[str, str], look: Look) -> Look:
    opacity = number_of(styles.get("opacity", "1"), 1.0)
    faded = re.search(r"opacity\(\s*([\d.]+%?)\s*\)", styles.get("filter", ""))
    if faded:
        opacity = min(opacity, number_of(faded[1], 1.0))
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
    if "popover" in attributes and display is None:
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
        or is_clipped(tag, styles, look.font_px)
        or is_off_screen(styles, look.font_px)
        or (is_transformed_away(styles, look.font_px) and not _is_animated(styles))
    )


def _is_animated(styles: dict[str, str]) -> bool:
    """Whether a style is only what an animation begins with."""
    return styles.get("animation", styles.get("animation-name", "none")).split()[0] != "none"


def _font_px(value: str, parent_px: float) -> float:
    if value in _FONT_SIZES:
        return _FONT_SIZES[value]
    if value in ("smaller", "larger"):
        return parent_px * (0.83 if value == "smaller" else 1.2)
    match = LENGTH.fullmatch(value)
    if not match or float(match[1]) < 0:
        return parent_px
    if match[2] == "%":
        return float(match[1]) / 100 * parent_px
    return pixels(value, parent_px)


def _is_flat(value: str, font_px: float) -> bool:
    match = LENGTH.fullmatch(value)
    if not match or float(match[1]) < 0:
        return False
    factor = {"": font_px, "%": font_px / 100}.get(match[2])
    height = float(match[1]) * factor if factor is not None else pixels(value, font_px)
    return height <= 1 and font_px > 0

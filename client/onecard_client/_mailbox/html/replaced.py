"""Elements that are not text themselves: images, and the fields of forms."""

from __future__ import annotations

import re

from onecard_client._mailbox.html.links import host_of
from onecard_client._mailbox.html.visibility import Attributes

MAX_ALT_CHARACTERS = 2_000
# An image of this size is there to be counted, not to be seen.
MAX_TRACKER_PX = 3
# Names that programs give; they say nothing.
_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|bmp|webp|svg|tiff?)|image|img|logo", re.I)
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)(px)?\s*")
_BUTTONS = frozenset({"submit", "button", "reset", "image"})
_FIELDS = frozenset({"", "text", "email", "tel", "number", "search", "url", "date"})


def image(attributes: Attributes, styles: dict[str, str], is_linked: bool) -> str:
    """The text of an image, or a note that there is one if that matters."""
    sizes = [attributes.get("width"), attributes.get("height")]
    sizes += [styles.get("width"), styles.get("height")]
    numbers = [_NUMBER.fullmatch(size) for size in sizes if size]
    if any(number and float(number[1]) <= MAX_TRACKER_PX for number in numbers):
        return ""
    alt = " ".join((attributes.get("alt") or "")[:MAX_ALT_CHARACTERS].split())
    if alt and not _FILE_NAME.fullmatch(alt):
        return f"[image: {alt}]"
    is_pasted = (attributes.get("src") or "").lower().startswith("data:image/")
    return "[image]" if is_pasted or is_linked else ""


def field(attributes: Attributes) -> str:
    """The text that an `<input>` shows."""
    kind = (attributes.get("type") or "").lower()
    label = attributes.get("value") or attributes.get("placeholder") or attributes.get("alt") or ""
    label = " ".join(label[:MAX_ALT_CHARACTERS].split())
    if kind == "hidden":
        return ""
    if kind in _BUTTONS:
        return f"[button: {label or kind}]"
    if kind == "password":
        return "[password field]"
    if kind in _FIELDS:
        return f"[field: {label}]" if label else "[field]"
    return f"[{kind} field]" if kind == "file" else ""


def form(attributes: Attributes) -> str:
    """A note that names the host that a form is sent to; empty if it names none."""
    host = host_of(attributes.get("action") or "")
    return f"[form sent to {host}]" if host else ""

"""Which CSS declarations apply to an element: style sheets, then the element's own.

The cascade of https://www.w3.org/TR/css-cascade-4/#cascading, for the screen of a desktop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import tinycss2
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from onecard_client._html.colours import is_colour

# Of one mail. A newsletter has some hundred rules.
MAX_CSS_CHARACTERS = 300_000
MAX_SELECTOR_CHARACTERS = 200
# Selectors times elements that are tried; a selector takes a microsecond for ten elements.
MAX_TRIALS = 30_000_000
# A reading pane; wider than every `max-width` that is meant for telephones.
SCREEN_WIDTH = 1024
# Units in pixels, for lengths of which the size of letters does not matter.
_INLINE = (1, 0, 0)

# What tells whether text is seen, and how it lies.
READ = frozenset(
    [
        "display",
        "visibility",
        "opacity",
        "font-size",
        "color",
        "background-color",
        "background-image",
        "overflow",
        "overflow-x",
        "overflow-y",
        "width",
        "max-width",
        "height",
        "max-height",
        "min-height",
        "padding-bottom",
        "line-height",
        "mso-hide",
        "position",
        "left",
        "right",
        "top",
        "bottom",
        "text-indent",
        "margin-left",
        "margin-top",
        "transform",
        "translate",
        "scale",
        "clip",
        "clip-path",
        "filter",
        "content-visibility",
        "white-space",
        "animation",
        "animation-name",
        "text-shadow",
        "background-clip",
        "-webkit-background-clip",
        "-webkit-text-fill-color",
        "list-style-type",
        "float",
    ]
)
_KEYWORDS = {
    "display": re.compile(r"(-?[a-z-]+)( [a-z-]+){0,2}"),
    "visibility": re.compile("visible|hidden|collapse|inherit|initial|unset"),
}
_DISPLAYS = frozenset(
    [
        "none",
        "block",
        "inline",
        "inline-block",
        "flex",
        "inline-flex",
        "grid",
        "inline-grid",
        "table",
        "inline-table",
        "contents",
        "list-item",
        "table-row",
        "table-cell",
        "table-row-group",
        "table-header-group",
        "table-footer-group",
        "table-column",
        "table-column-group",
        "table-caption",
        "flow",
        "flow-root",
        "run-in",
        "inherit",
        "initial",
        "unset",
        "revert",
        "-webkit-box",
        "-ms-flexbox",
        "-webkit-flex",
        "-moz-box",
    ]
)


class Declaration(NamedTuple):
    """One property of one rule; those of greater weight come later."""

    weight: tuple[bool, tuple[int, int, int], int]
    name: str
    value: str


class Rule(NamedTuple):
    """A selector and what it declares, `(name, value, important)` each."""

    selector: str
    declarations: list[tuple[str, str, bool]]


class Styles:
    """The styles of one document."""

    def __init__(self, document: LexborHTMLParser, sheets: list[str], num_elements: int) -> None:
        self._of_element: dict[int, list[Declaration]] = {}
        num_trials = 0
        for order, rule in enumerate(_rules("\n".join(sheets)[:MAX_CSS_CHARACTERS])):
            num_trials += num_elements
            if num_trials > MAX_TRIALS:
                break
            self._apply(document, rule, order)

    def of(self, element: LexborNode, style: str | None) -> dict[str, str]:
        """The values by name, in lower case; those of `style`, its attribute, among them."""
        declared = self._of_element.get(element.mem_id, [])
        if style:
            own = declarations(style)
            declared = declared + [
                Declaration((important, _INLINE, order), name, value)
                for order, (name, value, important) in enumerate(own)
            ]
        if not declared:
            return {}
        return {item.name: item.value for item in sorted(declared)}

    def _apply(self, document: LexborHTMLParser, rule: Rule, order: int) -> None:
        weight = _specificity(rule.selector)
        try:
            elements = document.css(rule.selector)
        except (SelectolaxError, ValueError, RuntimeError):
            return  # for another program, `:hover` or `::before`
        items = [
            Declaration((important, weight, order), name, value)
            for name, value, important in rule.declarations
        ]
        for element in elements:
            self._of_element.setdefault(element.mem_id, []).extend(items)


def declarations(source: str) -> list[tuple[str, str, bool]]:
    """Those of a `style` attribute that are read, shorthands taken apart."""
    return list(_read(tinycss2.parse_blocks_contents(source[:MAX_CSS_CHARACTERS])))


def _read(nodes: list[Any]) -> Iterator[tuple[str, str, bool]]:
    for node in nodes:
        if node.type != "declaration":
            continue
        value = tinycss2.serialize([token for token in node.value if token.type != "comment"])
        value = " ".join(value.lower().split())
        for name, part in _longhands(node.lower_name, value):
            if name in READ and _is_valid(name, part):
                yield name, part, node.important


def _is_valid(name: str, value: str) -> bool:
    """Whether a browser would take it; else what was declared before holds."""
    if name == "display":
        return bool(value) and value.split()[0] in _DISPLAYS
    if name == "visibility":
        return _KEYWORDS["visibility"].fullmatch(value) is not None
    if name in ("color", "background-color", "-webkit-text-fill-color"):
        return is_colour(value)
    return bool(value)


def _longhands(name: str, value: str) -> list[tuple[str, str]]:
    if name == "font":
        size = next((part for part in value.split() if _SIZE.match(part)), "")
        font_size, _, line_height = size.partition("/")
        return [("font-size", font_size), ("line-height", line_height)]
    if name == "background":
        return _background(value)
    if name == "margin":
        sides = _sides(value)
        return [("margin-top", sides[0]), ("margin-left", sides[3])]
    if name == "padding":
        return [("padding-bottom", _sides(value)[2])]
    if name == "inset":
        return list(zip(("top", "right", "bottom", "left"), _sides(value), strict=True))
    return [(name, value)]


_SIZE = re.compile(
    r"[-+]?\.?\d|(?:xx?-small|small|medium|large|x{1,3}-large|smaller|larger)(?:/|$)"
)


def _sides(value: str) -> list[str]:
    parts = (value.split() + [""] * 4)[:4]
    top, right, bottom, left = parts
    right = right or top
    return [top, right, bottom or top, left or right]


def _background(value: str) -> list[tuple[str, str]]:
    image = value if "url(" in value or "gradient(" in value else "none"
    colour = next((part for part in _parts(value) if is_colour(part)), "transparent")
    clip = "text" if "text" in value.split() else ""
    return [("background-color", colour), ("background-image", image), ("background-clip", clip)]


def _parts(value: str) -> list[str]:
    """Its components, functions whole."""
    nodes = tinycss2.parse_component_value_list(value, skip_comments=True)
    return [tinycss2.serialize([node]) for node in nodes if node.type != "whitespace"]


def _rules(css: str) -> Iterator[Rule]:
    css = css.replace("<!--", " ").replace("-->", " ")
    pending: list[Any] = [iter(tinycss2.parse_stylesheet(css, True, True))]
    while pending:
        node = next(pending[-1], None)
        if node is None:
            pending.pop()
        elif node.type == "at-rule":
            if node.content and len(pending) < 8 and _applies(node):
                pending.append(iter(tinycss2.parse_rule_list(node.content, True, True)))
        elif node.type == "qualified-rule":
            items = list(_read(tinycss2.parse_blocks_contents(node.content)))
            if items:
                for selector in _selectors(node.prelude):
                    yield Rule(selector, items)


def _selectors(prelude: list[Any]) -> Iterator[str]:
    selector: list[Any] = []
    for token in [*prelude, None]:
        if token is not None and token != ",":
            selector.append(token)
            continue
        text = tinycss2.serialize(selector).strip()
        if text and len(text) <= MAX_SELECTOR_CHARACTERS:
            yield text
        selector = []


def _applies(rule: Any) -> bool:
    prelude = tinycss2.serialize(rule.prelude).lower().strip()
    if rule.lower_at_keyword == "media":
        return any(_is_screen(query) for query in prelude.split(","))
    if rule.lower_at_keyword == "supports":
        return not prelude.startswith("not")
    return bool(rule.lower_at_keyword in ("layer", "document", "-moz-document"))


_FEATURE = re.compile(r"\(\s*([\w-]+)\s*(?::\s*([^)]*))?\)")


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


_IDS = re.compile(r"#[\w-]+")
_CLASSES = re.compile(r"\.[\w-]+|\[[^\]]*\]|(?<!:):(?!not|is|where|has)[\w-]+")
_TYPES = re.compile(r"(?:^|[\s>+~(])[a-z][\w-]*", re.I)


def _specificity(selector: str) -> tuple[int, int, int]:
    """`(0, ids, classes * 1000 + types)`: below that of an element's own style."""
    num_classes = len(_CLASSES.findall(selector))
    num_types = len(_TYPES.findall(re.sub(r"\[[^\]]*\]", "", selector)))
    return (0, len(_IDS.findall(selector)), num_classes * 1000 + num_types)

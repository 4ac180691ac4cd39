"""The CSS declarations that apply to an element: style sheets, then the element's own.

The cascade of https://www.w3.org/TR/css-cascade-4/#cascading, for the screen of a desktop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import tinycss2  # type: ignore[import-untyped]
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from onecard_client._mailbox.html.colours import is_colour
from onecard_client._mailbox.html.media import is_for_screens

# Of one mail. A newsletter has some hundred rules.
MAX_CSS_CHARACTERS = 300_000
MAX_SELECTOR_CHARACTERS = 200
# Selectors times elements that are tried, and steps from element to element.
MAX_TRIALS = 5_000_000
# The specificity of an element's own style.
_INLINE = (1, 0, 0)

# What tells whether text is seen, and how it lies.
READ = frozenset({
    "animation", "animation-name", "background-clip", "background-color", "background-image",
    "bottom", "clip", "clip-path", "color", "content-visibility", "display", "filter",
    "font-size", "height", "left", "letter-spacing", "line-height", "margin-left", "margin-top",
    "max-height", "max-width", "min-height", "mso-hide", "opacity", "overflow", "overflow-x",
    "overflow-y", "padding-bottom", "padding-left", "position", "right", "scale", "text-indent",
    "text-shadow", "top", "transform", "translate", "visibility", "-webkit-background-clip",
    "-webkit-text-fill-color", "white-space", "width", "zoom",
})  # fmt: skip
_VISIBILITIES = frozenset({
    "visible", "hidden", "collapse", "inherit", "initial", "unset", "revert",
})  # fmt: skip
_DISPLAYS = frozenset({
    "none", "block", "inline", "inline-block", "flex", "inline-flex", "grid", "inline-grid",
    "table", "inline-table", "contents", "list-item", "table-row", "table-cell", "table-caption",
    "table-row-group", "table-header-group", "table-footer-group", "table-column",
    "table-column-group", "flow", "flow-root", "run-in", "inherit", "initial", "unset", "revert",
    "-webkit-box", "-webkit-flex", "-webkit-inline-box",
})  # fmt: skip
# Of a selector: the pseudo-classes that take a time with the square of the mail's length.
_SLOW = re.compile(r":(?:nth|has|is|where|matches|any|(?:first|last|only)-of)|:not\([^)]*[\s>+~(]")
_COMBINATOR = re.compile(r"\s*([>+~])\s*|\s+")
_CALC = re.compile(r"calc\(\s*([^()\s]+)\s*\)")
_VARIABLE = re.compile(r"(--[\w-]{1,60})\s*:\s*([^;{}]{1,60})")
_USE = re.compile(r"var\(\s*(--[\w-]{1,60})\s*(?:,([^()]{0,60}))?\)")
_BLOCKED = re.compile(r"\[[^\]]*\]|\([^)]*\)")


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

    def __init__(self, document: LexborHTMLParser, sheets: list[str]) -> None:
        self._document = document
        self._of_element: dict[int, list[Declaration]] = {}
        self._of_compound: dict[str, list[LexborNode]] = {}
        self._num_trials = 0
        num_elements = len(document.css("*")) if sheets else 0
        sheets = [sheet[:MAX_CSS_CHARACTERS] for sheet in sheets]
        self._variables: dict[str, str] = dict(
            pair for sheet in sheets for pair in _VARIABLE.findall(sheet)
        )
        rules = (rule for sheet in sheets for rule in _rules(self._without_variables(sheet)))
        for order, rule in enumerate(rules):
            self._num_trials += num_elements
            if self._num_trials > MAX_TRIALS:
                break
            self._apply(rule, order)

    def values(self, element: LexborNode, style: str | None) -> dict[str, str]:
        """The values by name, in lower case; those of `style`, its attribute, among them."""
        declared = self._of_element.get(element.mem_id, [])
        if style:
            style = self._without_variables(style)
            declared = declared + [
                Declaration((important, _INLINE, order), name, value)
                for order, (name, value, important) in enumerate(declarations(style))
            ]
        if not declared:
            return {}
        return {item.name: item.value for item in sorted(declared)}

    def _without_variables(self, css: str) -> str:
        """Replaces each `var(--name)` by its value, taken to be one in the whole document."""
        if "var(" not in css:
            return css
        return _USE.sub(lambda use: self._variables.get(use[1]) or use[2] or "", css)

    def _apply(self, rule: Rule, order: int) -> None:
        weight = _specificity(rule.selector)
        items = [
            Declaration((important, weight, order), name, value)
            for name, value, important in rule.declarations
        ]
        for element in self._selected(rule.selector):
            self._of_element.setdefault(element.mem_id, []).extend(items)

    def _selected(self, selector: str) -> list[LexborNode]:
        """Selects from left to right: the parser's own way takes time exponential in the blanks."""
        if _SLOW.search(selector):
            return []
        compounds, combinators = _taken_apart(selector)
        elements = self._matched(compounds[0])
        for compound, combinator in zip(compounds[1:], combinators, strict=True):
            if not elements:
                return []
            before = {element.mem_id for element in elements}
            elements = [
                element
                for element in self._matched(compound)
                if self._follows(element, combinator, before)
            ]
        return elements

    def _matched(self, compound: str) -> list[LexborNode]:
        if compound not in self._of_compound:
            try:
                self._of_compound[compound] = self._document.css(compound)
            except (SelectolaxError, ValueError, RuntimeError):
                self._of_compound[compound] = []  # for another program, `:hover` or `::before`
        return self._of_compound[compound]

    def _follows(self, element: LexborNode, combinator: str, before: set[int]) -> bool:
        is_sibling = combinator in ("+", "~")
        other = element.prev if is_sibling else element.parent
        while other is not None and self._num_trials < MAX_TRIALS:
            self._num_trials += 1
            if other.mem_id in before:
                return True
            if combinator == ">" or (combinator == "+" and other.is_element_node):
                return False
            other = other.prev if is_sibling else other.parent
        return False


def _taken_apart(selector: str) -> tuple[list[str], list[str]]:
    """Its compounds, `td.x`, and the combinators between them."""
    blocked = _BLOCKED.sub(lambda match: "_" * len(match[0]), selector)
    compounds, combinators, start = [], [], 0
    for match in _COMBINATOR.finditer(blocked):
        compounds.append(selector[start : match.start()])
        combinators.append(match[1] or " ")
        start = match.end()
    return [*compounds, selector[start:]], combinators


@lru_cache(maxsize=256)  # a mail has few styles, and each often
def declarations(source: str) -> list[tuple[str, str, bool]]:
    """The declarations of a `style` attribute that are read, with shorthands taken apart."""
    return list(_read(tinycss2.parse_blocks_contents(source[:MAX_CSS_CHARACTERS])))


def _read(nodes: list[Any]) -> Iterator[tuple[str, str, bool]]:
    for node in nodes:
        if node.type != "declaration":
            continue
        value = tinycss2.serialize([token for token in node.value if token.type != "comment"])
        value = _CALC.sub(r"\1", " ".join(value.lower().split()))
        for name, part in _longhands(node.lower_name, value):
            if name in READ and _is_valid(name, part):
                yield name, part, node.important


def _is_valid(name: str, value: str) -> bool:
    """Whether a browser would take it; else what was declared before holds."""
    if name == "display":
        return bool(value) and value.split()[0] in _DISPLAYS
    if name == "visibility":
        return value in _VISIBILITIES
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
        return [("padding-bottom", _sides(value)[2]), ("padding-left", _sides(value)[3])]
    if name == "inset":
        return list(zip(("top", "right", "bottom", "left"), _sides(value), strict=True))
    return [(name, value)]


_SIZE = re.compile(
    r"[-+]?\.?\d|(?:xx?-small|small|medium|large|x{1,3}-large|smaller|larger)(?:/|$)"
)


_IMAGE = re.compile(r"url\(\s*[\"']?[^\s\"')]|gradient\(")


def _sides(value: str) -> list[str]:
    parts = (value.split() + [""] * 4)[:4]
    top, right, bottom, left = parts
    right = right or top
    return [top, right, bottom or top, left or right]


def _background(value: str) -> list[tuple[str, str]]:
    image = value if _IMAGE.search(value) else "none"
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
        return is_for_screens(prelude)
    if rule.lower_at_keyword == "supports":
        return not prelude.startswith("not")
    return bool(rule.lower_at_keyword in ("layer", "document", "-moz-document"))


_IDS = re.compile(r"#[\w-]+")
_CLASSES = re.compile(r"\.[\w-]+|\[[^\]]*\]|(?<!:):(?!not|is|where|has)[\w-]+")
_TYPES = re.compile(r"(?:^|[\s>+~(])[a-z][\w-]*", re.I)


def _specificity(selector: str) -> tuple[int, int, int]:
    """`(0, ids, classes * 1000 + types)`: below that of an element's own style."""
    num_classes = len(_CLASSES.findall(selector))
    num_types = len(_TYPES.findall(re.sub(r"\[[^\]]*\]", "", selector)))
    return (0, len(_IDS.findall(selector)), num_classes * 1000 + num_types)

"""Counts the elements that are open at a place of a document, to limit their number."""

from __future__ import annotations

from collections import defaultdict

# Blink's, https://chromium.googlesource.com/chromium/src (kMaximumHTMLParserDOMTreeDepth).
MAX_DEPTH = 512
# Formatting elements that were not closed are opened again in each block that follows.
MAX_FORMATTING = 48
# Of one mail: formatting elements open, summed up over its tags.
MAX_REOPENED = 1_000_000
# Attributes of a second `<body>` are added to those of the first.
MAX_BODIES = 8
# Of equal ones a parser keeps three
# (https://html.spec.whatwg.org/#push-onto-the-list-of-active-formatting-elements).
MAX_EQUAL = 3

VOID = frozenset({
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "hr", "image", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr",
})  # fmt: skip
FORMATTING = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})  # fmt: skip
# End tags within these do not close what is open around them.
SCOPES = frozenset({"applet", "caption", "marquee", "object", "table", "td", "th"})
# Only formatting elements that began within these are opened again within them.
MARKERS = SCOPES - {"table"}
TABLE_PARTS = frozenset({"caption", "tbody", "td", "tfoot", "th", "thead", "tr"})
# End tags of other elements do not close these, https://html.spec.whatwg.org/#special.
SPECIAL = SCOPES | TABLE_PARTS | frozenset({
    "address", "article", "aside", "blockquote", "body", "button", "center", "colgroup", "dd",
    "details", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "head", "header", "hgroup", "html", "li", "listing", "main",
    "menu", "nav", "ol", "p", "pre", "search", "section", "select", "summary", "ul",
})  # fmt: skip
# Items end with the next one, but not beyond special elements other than these.
LOOSE = frozenset({"address", "div", "p"})
# The next of these closes the last, hence they lie in each other only by way of others.
_CELLS, _GROUPS, _TERMS = ("td", "th"), ("tbody", "tfoot", "thead"), ("dd", "dt")
SIBLINGS: dict[str, tuple[str, ...]] = {
    "dd": _TERMS, "dt": _TERMS, "li": ("li",), "p": ("p",), "tbody": _GROUPS,
    "td": _CELLS, "tfoot": _GROUPS, "th": _CELLS, "thead": _GROUPS, "tr": ("tr",),
}  # fmt: skip
Key = tuple[tuple[str, str], ...]


class OpenElements:
    """The elements that are open; never fewer than a parser has."""

    def __init__(self) -> None:
        self.is_full = False  # something had to be left out
        self._names: list[str] = []  # empty for what was closed before what it holds
        self._places: dict[str, list[int]] = defaultdict(list)
        self._scopes: list[int] = []
        self._specials: list[int] = []
        self._firm: list[int] = []  # specials that are not loose
        self._formatting: list[tuple[str, Key]] = []  # markers have no name
        self._num_reopened = 0
        self._num_bodies = 0

    def begin(self, name: str, attributes: Key) -> bool:
        """Counts an element that begins; False if there are too many."""
        if name in VOID:
            return True
        if name in ("html", "body", "head"):
            self._num_bodies += 1
            return self._num_bodies <= MAX_BODIES
        self._end_siblings(name)
        self._num_reopened += len(self._formatting)
        if len(self._names) >= MAX_DEPTH or self._num_reopened > MAX_REOPENED:
            self.is_full = True
            return False
        if name in FORMATTING and not self._begin_formatting(name, attributes):
            self.is_full = True
            return False
        if name in MARKERS:
            self._formatting.append(("", ()))
        self._push(name)
        return True

    def end(self, name: str) -> bool:
        """Counts an element that ends; False if it closes none that is open."""
        if name in FORMATTING:
            return self._end_formatting(name)
        places = self._places[name]
        if not places:
            return name in ("p", "br")  # which stand for an element without content
        if name == "table":
            limit = -1
        elif name in TABLE_PARTS:
            limit = (self._places["table"] or [-1])[-1]
        else:
            within = self._scopes if name in SPECIAL else self._specials
            limit = within[-1] if within and within[-1] != places[-1] else -1
        if places[-1] < limit:
            return True
        self._pop(places[-1])
        return True

    def _push(self, name: str) -> None:
        place = len(self._names)
        self._names.append(name)
        self._places[name].append(place)
        if name in SCOPES:
            self._scopes.append(place)
        if name in SPECIAL:
            self._specials.append(place)
            if name not in LOOSE:
                self._firm.append(place)

    def _pop(self, place: int) -> None:
        """Closes what is open from there on."""
        while len(self._names) > place:
            name = self._names.pop()
            if not name:
                continue
            self._places[name].pop()
            if name in SCOPES:
                self._scopes.pop()
            if name in SPECIAL:
                self._specials.pop()
                if name not in LOOSE:
                    self._firm.pop()
            if name in MARKERS:
                while self._formatting and self._formatting.pop()[0]:
                    pass

    def _end_siblings(self, name: str) -> None:
        if name in TABLE_PARTS:
            limit = (self._places["table"] or [-1])[-1] + 1
        else:
            limit = ((self._scopes if name == "p" else self._firm) or [0])[-1]
        for sibling in SIBLINGS.get(name, ()):
            places = self._places[sibling]
            if places and places[-1] >= limit:
                self._pop(places[-1])

    def _begin_formatting(self, name: str, attributes: Key) -> bool:
        if name in ("a", "nobr"):
            self._end_formatting(name)
        own = (name, attributes)
        equal = [at for at, other in enumerate(self._formatting) if other == own]
        if len(equal) >= MAX_EQUAL:
            del self._formatting[equal[0]]
        if len(self._formatting) >= MAX_FORMATTING:
            return False
        self._formatting.append(own)
        return True

    def _end_formatting(self, name: str) -> bool:
        """What lies in it stays open, https://html.spec.whatwg.org/#adoption-agency-algorithm."""
        places = self._places[name]
        if places and self._scopes and places[-1] < self._scopes[-1]:
            return True
        for at in range(len(self._formatting) - 1, -1, -1):
            if not self._formatting[at][0]:
                break
            if self._formatting[at][0] == name:
                del self._formatting[at]
                break
        if places:
            self._names[places.pop()] = ""
            while self._names and not self._names[-1]:
                self._names.pop()
        return True

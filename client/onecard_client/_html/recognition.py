"""Whether a text is HTML, or plain text that has angle brackets."""

from __future__ import annotations

import re

MAX_LOOKED_AT = 200_000
# Elements of mails, https://html.spec.whatwg.org/#elements-3 and what came before it.
ELEMENTS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "address",
        "area",
        "article",
        "aside",
        "b",
        "base",
        "bdi",
        "bdo",
        "big",
        "blockquote",
        "body",
        "br",
        "button",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "dir",
        "div",
        "dl",
        "dt",
        "em",
        "fieldset",
        "figcaption",
        "figure",
        "font",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "head",
        "header",
        "hr",
        "html",
        "i",
        "iframe",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "legend",
        "li",
        "link",
        "main",
        "map",
        "mark",
        "menu",
        "meta",
        "nav",
        "nobr",
        "noscript",
        "ol",
        "optgroup",
        "option",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "script",
        "section",
        "select",
        "small",
        "span",
        "strike",
        "strong",
        "style",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "textarea",
        "tfoot",
        "th",
        "thead",
        "title",
        "tr",
        "tt",
        "u",
        "ul",
        "var",
        "video",
        "wbr",
    ]
)
_DOCUMENT = re.compile(
    r"\s*(?:<!--.*?-->\s*)?(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html[\s>])", re.I
)
_TAG = re.compile(
    r"<(/?)([a-z][a-z0-9]*)((?:\s+[a-z_:][\w:.-]*(?:\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'|[^\s\"'<>=]+))?)*)\s*(/?)>",
    re.I,
)


def looks_like_html(text: str) -> bool:
    """Tells HTML from a text that mentions `<tags>` or says `a < b`."""
    text = text[:MAX_LOOKED_AT]
    if "<" not in text:
        return False
    if _DOCUMENT.match(text):
        return True
    names = [match[2].lower() for match in _TAG.finditer(text)]
    known = sum(name in ELEMENTS for name in names)
    return known > 0 and known * 2 > len(names)

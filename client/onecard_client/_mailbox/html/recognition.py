"""Decides whether a text is HTML, or plain text with angle brackets."""

from __future__ import annotations

import re

MAX_LOOKED_AT = 200_000
# Elements of mails, https://html.spec.whatwg.org/#elements-3 and what came before it.
ELEMENTS = frozenset({
    "a", "abbr", "acronym", "address", "article", "aside", "b", "base", "bdi", "bdo", "big",
    "blockquote", "body", "br", "button", "caption", "center", "cite", "code", "col", "colgroup",
    "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "fieldset", "figcaption", "figure",
    "font", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html",
    "i", "iframe", "img", "input", "ins", "kbd", "label", "legend", "li", "link", "main", "map",
    "mark", "meta", "nav", "nobr", "noscript", "ol", "optgroup", "option", "p", "pre", "q", "s",
    "samp", "script", "section", "select", "small", "span", "strike", "strong", "style", "sub",
    "summary", "sup", "svg", "table", "tbody", "td", "template", "textarea", "tfoot", "th", "thead",
    "title", "tr", "tt", "u", "ul", "var", "video", "wbr",
})  # fmt: skip
# Outlook's own.
_OFFICE = ("o:", "v:", "w:", "st1:")
_JSON = re.compile(r"\s*(?:\{\s*\"|\[\s*[\[{\"])")
# A break within text; between blanks it is spoken of.
_BREAK = re.compile(
    r"(?:[^\s<]|^)<br[\s/]*>|<br[\s/]*>(?:[^\s<]|$)|(?:<br[\s/]*>\s*){2}", re.I | re.M
)
_DOCUMENT = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html\b|html[\s>]|!--\[if)", re.I)
_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>[a-z][a-z0-9:.-]*)"
    r"(?P<rest>(?:[\s/]+(?:[^\s\"'<>/=]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=]+))?)?)*)>",
    re.I,
)
# What stands in code, or in a fence of Markdown, is quoted.
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|'<[^'\n]*>'|\"<[^\"\n]*>\"", re.DOTALL)


def looks_like_html(text: str) -> bool:
    """Tells HTML from a text that mentions `<tags>` or says `a < b`."""
    text = text[:MAX_LOOKED_AT].lstrip("\ufeff")
    if "<" not in text:
        return False
    if _DOCUMENT.match(text):
        return True
    if _JSON.match(text) or text.lstrip().startswith("<?xml"):
        return False
    text = _CODE.sub(" ", text)
    tags = list(_TAG.finditer(text))
    known = [tag for tag in tags if _is_known(tag["name"].lower())]
    if len(known) * 2 <= len(tags):
        return False  # XML, or addresses in brackets
    begun = {tag["name"].lower() for tag in known if not tag["end"]}
    ended = {tag["name"].lower() for tag in known if tag["end"]}
    has_values = any("=" in tag["rest"] for tag in known)
    begins_so = not text[: tags[0].start()].strip() if known else False
    return bool(begun & ended or has_values or begins_so or _BREAK.search(text))


def is_html_document(text: str) -> bool:
    """Whether a text is a page as a whole, such as a program sent it under a wrong name."""
    return bool(_DOCUMENT.match(text.lstrip("\ufeff"))) and "</" in text


def _is_known(name: str) -> bool:
    return name in ELEMENTS or name.startswith(_OFFICE)

"""HTML made fit for a parser: bounded in length, depth and attributes, without comments.

Parsing as browsers do takes a time that grows with the square of the depth, of the attributes of an
element, and of the formatting elements that were never closed. Browsers bound these as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from onecard_client._mailbox.html.open_elements import OpenElements

# A newsletter has 100 kB; the model's window ends far below this.
MAX_HTML_CHARACTERS = 1_000_000
# Before images are taken out; servers pass on 25 MB or so.
MAX_RAW_CHARACTERS = 40_000_000
MAX_ATTRIBUTES = 64
# Their content is text, https://html.spec.whatwg.org/#parsing-main-inhead.
RAW_TEXT = ("iframe", "noembed", "script", "style", "textarea", "title", "xmp")
# A mail is shown within a page: what these hold is its text.
UNWRAPPED = frozenset({"frame", "frameset", "math", "noframes", "plaintext"})
# Renamed, so that a parser has no rules of its own for them.
UNSEEN = {"template": "x-unseen", "noscript": "x-unseen"}
# A drawing ends before these, https://html.spec.whatwg.org/#parsing-main-inforeign.
AFTER_DRAWINGS = frozenset({
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em",
    "embed", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu",
    "meta", "nobr", "ol", "p", "pre", "ruby", "s", "small", "span", "strike", "strong", "sub",
    "sup", "table", "tt", "u", "ul", "var",
})  # fmt: skip
# Hides the mail until scripts have run, https://amp.dev/documentation/guides-and-tutorials/email/.
_BOILERPLATE = {"amp4email-boilerplate", "amp-boilerplate"}
# A comment that says something: none of HTML, CSS or names of sections.
MIN_COMMENT_WORDS = 5

_DATA = re.compile(
    r"(data:[a-z]{1,20}/[\w.+-]{1,60})(?:;[\w=.-]{1,60}){0,4},[A-Za-z0-9+/=%\s_-]{64,}", re.I
)
_TAG_BEGIN = re.compile(r"/?[a-z]", re.I)  # a name may go on to the end of the mail
_TAG_NAME = re.compile(r"/?([a-z][^\s/>]*)", re.I)
_ATTRIBUTE = re.compile(
    r"""[\s/]*(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*)"""
    r"""(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s>"'][^\s>]*)?))?)"""
)
_TAG_END = re.compile(">")
_COMMENT_END = re.compile("--!?>")
_EMPTY_COMMENT = re.compile("-?>")
_NOT_MSO = re.compile(r"<!--\[if\s*!\s*(?:\(\s*)?(?:mso|\()|<!\[if\s*!", re.I)
_WORDS = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"[<{}=]|\[if|\[endif|https?://", re.I)
# What those who make templates tell each other, such as `Hidden Preheader Text : BEGIN`.
_OF_A_TEMPLATE = re.compile(
    r"^\W*(?:begin|end|start)\b|\b(?:begin|end|start)\W*$|\b(?:templates?|preheader|preview|column|"
    r"outlook|gmail|clients?|render\w*|font|spacer|wrapper|container|viewport|iOS|IE|title tag)\b",
    re.I,
)


class Markup(NamedTuple):
    """HTML for the parser, its style sheets, and whether it holds text for nobody."""

    html: str
    hides_text: bool


class Tag(NamedTuple):
    name: str
    is_end: bool
    is_closed: bool  # `<br/>`
    attributes: dict[str, str]
    end: int


def bounded(html: str) -> Markup:
    """HTML whose parsing takes a time that grows with its length, and which says the same."""
    html = _DATA.sub(r"\1,", html[:MAX_RAW_CHARACTERS])[:MAX_HTML_CHARACTERS]
    html = html.encode("utf-8", "replace").decode().replace("\0", "")
    writer = _Writer(html)
    return Markup("".join(writer.pieces()), writer.hides_text or writer.elements.is_full)


class _Writer:
    """Writes the markup that was read in one canonical form."""

    def __init__(self, html: str) -> None:
        self.hides_text = False
        self.elements = OpenElements()
        self._html = html
        self._at = 0
        self._num_drawings = 0  # `<svg>` that are open
        self._is_in_head = False
        self._is_lenient = False
        self._absent: set[re.Pattern[str]] = set()

    def pieces(self) -> Iterator[str]:
        html = self._html
        while (start := html.find("<", self._at)) >= 0:
            yield self._text(self._at, start)
            self._at = start + 1
            following = html[start + 1 : start + 2]
            if following in ("!", "?"):
                self._at = self._after_declaration(start)
            elif _TAG_BEGIN.match(html, start + 1):
                tag = self._tag(start + 1)
                if tag is None:
                    yield self._escaped("<")
                    continue
                self._at = tag.end
                yield from self._element(tag)
            elif following == "/":
                self._at = self._after(_TAG_END, start)
            else:
                yield self._escaped("<")
        yield self._text(self._at, len(html))

    def _tag(self, at: int) -> Tag | None:
        """The tag whose name begins there; None if the rest of the mail would be its attributes."""
        if self._is_lenient:
            end = self._search(_TAG_END, at)
            return tag_at(self._html[at : end.end()], 0, at) if end else None
        tag = tag_at(self._html, at, 0)
        # A quote is not closed, and browsers drop all that follows; the mail was not meant to be
        # empty, hence tags end with the next `>` from here on.
        self._is_lenient = tag is None
        return tag or self._tag(at)

    def _search(self, pattern: re.Pattern[str], start: int) -> re.Match[str] | None:
        if pattern in self._absent:
            return None
        match = pattern.search(self._html, start)
        if match is None:  # nor will it be found further on
            self._absent.add(pattern)
        return match

    def _after(self, pattern: re.Pattern[str], start: int) -> int:
        """The place after the next match of `pattern`; two characters on if there is none."""
        end = self._search(pattern, start)
        return end.end() if end else start + 2

    def _after_declaration(self, start: int) -> int:
        """Behind a comment, or what browsers take for one."""
        if not self._html.startswith("<!--", start):
            return self._after(_TAG_END, start)
        begin = start + len("<!--")
        end = _EMPTY_COMMENT.match(self._html, begin) or self._search(_COMMENT_END, begin)
        if end is None:  # the mail was not meant to be empty
            return begin
        if not self._is_in_head:  # where templates are explained
            self.hides_text = self.hides_text or _speaks(self._html[begin : end.start()])
        return end.end()

    def _escaped(self, text: str) -> str:
        return "" if self._num_drawings else escape(text, quote=False)

    def _element(self, tag: Tag) -> Iterator[str]:
        name = tag.name
        if self._num_drawings and not self._is_after_drawing(tag):
            return
        if name in ("head", "body"):
            self._is_in_head = name == "head" and not tag.is_end
        if name == "svg":
            self._num_drawings = int(not tag.is_closed and not tag.is_end)
        elif name in UNWRAPPED:
            return
        elif tag.is_end:
            if self.elements.end(name):
                yield f"</{name}>"
        elif name in RAW_TEXT:
            yield from self._raw_text(tag)
        elif self.elements.begin(name, tuple(tag.attributes.items())):
            yield _written(tag)

    def _is_after_drawing(self, tag: Tag) -> bool:
        if tag.name == "svg" and not tag.is_closed:
            self._num_drawings += -1 if tag.is_end else 1
        elif tag.name in AFTER_DRAWINGS and not tag.is_end:
            self._num_drawings = 0
            return True
        return False

    def _text(self, start: int, end: int) -> str:
        text = self._html[start:end]
        if not self._num_drawings:
            return text
        self.hides_text = self.hides_text or any(map(str.isalnum, text))
        return ""

    def _raw_text(self, tag: Tag) -> Iterator[str]:
        """An element that holds text only, whatever is within."""
        if tag.is_closed and tag.name == "title":
            return
        html = self._html
        end = self._search(re.compile(rf"</{tag.name}(?=[\s/>])", re.I), tag.end)
        content = html[tag.end : end.start() if end else len(html)]
        self._at = self._after(_TAG_END, end.end()) if end else len(html)
        # browsers drop what follows
        self.hides_text = self.hides_text or (end is None and any(map(str.isalnum, content)))
        if tag.name == "style" and not _BOILERPLATE & tag.attributes.keys():
            yield f"{_written(tag)}{content}</style>"
        elif tag.name in ("textarea", "xmp"):
            yield f"{_written(tag._replace(name='pre'))}{escape(content)}</pre>"


def _speaks(comment: str) -> bool:
    if _CODE.search(comment) or _OF_A_TEMPLATE.search(comment.strip()):
        return False
    return len(_WORDS.findall(comment[:1000])) >= MIN_COMMENT_WORDS


def tag_at(html: str, at: int, num_before: int = 0) -> Tag | None:
    """The tag whose name begins there, read as the specification says; None if it has no end."""
    is_end = html[at] == "/"
    match = _TAG_NAME.match(html, at)
    if match is None:
        return None
    name = match[1].lower()
    attributes: dict[str, str] = {}
    at = match.end()
    while match := _ATTRIBUTE.match(html, at):
        at = match.end()
        if match["end"]:
            is_closed = html[at - 2] == "/"
            return Tag(UNSEEN.get(name, name), is_end, is_closed, attributes, num_before + at)
        key = match["name"].lower()
        if len(attributes) < MAX_ATTRIBUTES and key not in attributes:
            attributes[key] = match["double"] or match["single"] or match["bare"] or ""
    return None


def _written(tag: Tag) -> str:
    """The tag with every value in quotes; names that need them are left out."""
    parts = [tag.name]
    for name, value in tag.attributes.items():
        if re.fullmatch(r"[\w:.-]+", name):
            quoted = value.replace('"', "&quot;").replace("<", "&lt;")
            parts.append(f'{name}="{quoted}"')
    return "<" + " ".join(parts) + ("/>" if tag.is_closed else ">")

"""The text of an HTML email: what a reader sees, as lines."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from onecard_client._mailbox.html.layout import BLOCKS, PARAGRAPHS, Layout
from onecard_client._mailbox.html.links import Links
from onecard_client._mailbox.html.markup import bounded
from onecard_client._mailbox.html.media import is_for_screens
from onecard_client._mailbox.html.replaced import MAX_ALT_CHARACTERS, field, form, image
from onecard_client._mailbox.html.styles import Styles
from onecard_client._mailbox.html.unseen import without_unseen
from onecard_client._mailbox.html.visibility import NOT_TEXT, Attributes, Look, look_of

_CELLS = frozenset({"td", "th"})
_BLOCK_DISPLAYS = frozenset(
    {"block", "flex", "grid", "table", "list-item", "table-row", "flow-root"}
)
# Of texts that are hidden; further ones are hidden as well.
MAX_HIDDEN_CHARACTERS = 200_000
MAX_PREVIEW = 200  # of a preheader, in characters
_WORD = re.compile(r"\w+")
# What the inbox shows beside the subject, and what keeps the mail's beginning from standing there.
_PREHEADER = re.compile(
    r"\A\s*[^\u00ad\u034f\u200b-\u200d]{1,200}(?:[\u00ad\u034f\u200b-\u200d\u2007\ufeff]\s*){6,}"
)
# GitHub's, which replies are to quote.
_MESSAGE_ID = re.compile(r"Message ID:\s*<[^<>]{1,300}>")


class HtmlText(NamedTuple):
    """The text that a reader sees, and whether there is text that none does."""

    text: str
    hides_text: bool


def html_to_text(html: str) -> HtmlText:
    """Lines of text; blockquotes begin with `> `, list items with `- `. Never raises."""
    markup = bounded(html)
    # without events: `<selectedcontent>` would copy every option
    document = LexborHTMLParser(markup.html, options=LexborDocumentOptions.WO_EVENTS)
    reader = _Reader(document)
    reader.read()
    text, has_unseen = without_unseen(reader.layout.text())
    hides_text = has_unseen or markup.hides_text or _say_more("\n".join(reader.hidden), text)
    return HtmlText(text, hides_text)


def _say_more(hidden: str, text: str) -> bool:
    """Whether a hidden line has words that the mail does not show in that order.

    Mails have much twice, once for telephones.
    """
    shown = _WORD.findall(text.casefold())
    words, pairs = set(shown), set(pairwise(shown))
    lines = _MESSAGE_ID.sub("", _PREHEADER.sub("", hidden, count=1)).casefold().split("\n")
    return any(
        not (words.issuperset(line) and pairs.issuperset(pairwise(line)))
        for line in map(_WORD.findall, lines)
    )


class _Open(NamedTuple):
    """An element between its start and its end."""

    tag: str
    look: Look
    is_block: bool
    target: str | None  # of a link
    num_texts: int  # before a link


class _Reader:
    def __init__(self, document: LexborHTMLParser) -> None:
        self.layout = Layout()
        self.hidden: list[str] = []
        self._num_hidden = 0
        self._root = document.root
        self._styles = Styles(
            document,
            [
                style.text()
                for style in document.css("style")
                if is_for_screens(style.attributes.get("media") or "all")
            ],
        )
        base = document.css_first("base[href]")
        self._links = Links((base.attributes.get("href") or "") if base else "")
        self._link_texts: list[str] = []
        self._num_links = 0  # that are open
        self._open = [_Open("", Look(), False, None, 0)]

    def read(self) -> None:
        """Walks the document without recursion, as it may be deep."""
        node = self._root
        while node is not None:
            child = self._enter(node)
            if child is not None:
                node = child
                continue
            while (following := node.next) is None:
                node = node.parent
                if node is None or len(self._open) == 1:
                    return
                self._leave()
            node = following

    def _enter(self, node: LexborNode) -> LexborNode | None:
        """The first child, if the element stays open."""
        if node.is_text_node:
            self._add(node.text_content or "")
            return None
        tag = node.tag or ""
        child = node.first_child
        if tag.startswith("-"):
            return None
        attributes = node.attributes
        styles = self._styles.values(node, attributes.get("style"))
        look = look_of(tag, attributes, styles, self._open[-1].look)
        is_block = not look.is_out and self._begin(tag, styles)
        if look.shows_images:
            self._replace(tag, attributes, styles)
        if child is not None:
            target = attributes.get("href") if tag == "a" else None
            self._num_links += target is not None
            self._open.append(_Open(tag, look, is_block, target, len(self._link_texts)))
        elif is_block:
            self._end(tag)
        return child

    def _begin(self, tag: str, styles: dict[str, str]) -> bool:
        """Whether it is a block."""
        display = styles.get("display", "")
        if tag == "br":
            self.layout.end_line()
            return False
        is_cell = tag in _CELLS or display == "table-cell"
        is_block = tag in BLOCKS if display in ("", "inherit", "none") else False
        is_block = is_block or display in _BLOCK_DISPLAYS
        if is_block and not is_cell:
            self.layout.end_block(tag in PARAGRAPHS)
        if tag == "blockquote":
            self.layout.change_quotes(+1)
        elif tag == "li":
            self.layout.begin_item()
        elif is_cell:
            self.layout.add(" ")
        return is_block and not is_cell

    def _replace(self, tag: str, attributes: Attributes, styles: dict[str, str]) -> None:
        """Writes what an element says that is not text."""
        if tag in ("img", "image"):
            self._write(image(attributes, styles, self._num_links > 0))
        elif tag == "input":
            self.layout.add(f" {field(attributes)} ")
        elif tag == "area" and attributes.get("href"):  # a part of an image that is a link
            alt = " ".join((attributes.get("alt") or "")[:MAX_ALT_CHARACTERS].split())
            self.layout.add(
                f" [image: {alt}] {self._links.note(alt, attributes.get('href') or '')} "
            )
        elif tag == "form":
            self.layout.add(f"{form(attributes)} ")

    def _leave(self) -> None:
        closed = self._open.pop()
        if closed.target is not None:
            self._num_links -= 1
            self._end_link(closed, closed.target)
        if closed.is_block:
            self._end(closed.tag)

    def _end(self, tag: str) -> None:
        self.layout.end_block(tag in PARAGRAPHS)
        if tag == "blockquote":
            self.layout.change_quotes(-1)
        elif tag == "li":
            self.layout.end_item()

    def _end_link(self, link: _Open, target: str) -> None:
        text = "".join(self._link_texts[link.num_texts :]).strip()
        if self._num_links == 0:
            self._link_texts.clear()
        note = self._links.note(text, target) if text else ""
        if note:
            self.layout.add_note(note)

    def _add(self, text: str) -> None:
        look = self._open[-1].look
        if look.shows_text:
            if self._open[-1].tag == "sup" and text[:1].isdigit() and self.layout.ends_with_digit():
                text = f"^{text}"  # neither 10 squared is 102, nor a price of 19.99 is 1999
            self._write(text, look.keeps_lines)
        elif self._open[-1].tag not in NOT_TEXT and self._num_hidden < MAX_HIDDEN_CHARACTERS:
            self._num_hidden += len(text)
            self.hidden.append("" if look.is_preview and len(text) < MAX_PREVIEW else text)

    def _write(self, text: str, keeps_lines: bool = False) -> None:
        if self._num_links:
            self._link_texts.append(text)
        self.layout.add(text, keeps_lines)

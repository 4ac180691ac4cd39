"""The text of an HTML email: what a reader sees, as lines."""

from __future__ import annotations

import re
from typing import NamedTuple

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from onecard_client._html.layout import BLOCKS, PARAGRAPHS, Layout
from onecard_client._html.links import Links
from onecard_client._html.markup import bounded
from onecard_client._html.styles import Styles
from onecard_client._html.unseen import without_unseen
from onecard_client._html.visibility import Attributes, Look, look_of

_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|bmp|webp|svg)", re.I)
_CELLS = frozenset({"td", "th"})


class HtmlText(NamedTuple):
    """The text that a reader sees, and whether there is text that none does."""

    text: str
    hides_text: bool


def html_to_text(html: str) -> HtmlText:
    """Lines of text; blockquotes begin with `> `, list items with `- `. Never raises."""
    markup = bounded(html)
    document = LexborHTMLParser(markup.html, options=LexborDocumentOptions.WO_EVENTS)
    reader = _Reader(document)
    reader.read()
    text, has_unseen = without_unseen(reader.layout.text())
    return HtmlText(text, markup.hides_text or reader.hides_text or has_unseen)


class _Open(NamedTuple):
    """An element between its start and its end."""

    tag: str
    look: Look
    is_block: bool
    target: str
    num_characters: int


class _Reader:
    def __init__(self, document: LexborHTMLParser) -> None:
        self.layout = Layout()
        self.hides_text = False
        sheets = [style.text() for style in document.css("style")]
        num_elements = len(document.css("*")) if sheets else 0
        self._styles = Styles(document, sheets, num_elements)
        self._root = document.root
        self._links = Links()
        self._link_text: list[str] = []
        self._open: list[_Open] = []

    def read(self) -> None:
        node = self._root
        while node is not None:
            child = self._enter(node)
            if child is not None:
                node = child
                continue
            while node is not None:
                following = node.next
                if following is not None:
                    node = following
                    break
                node = node.parent
                if node is None or not self._open:
                    return
                self._leave()

    def _enter(self, node: LexborNode) -> LexborNode | None:
        if node.is_text_node:
            self._add(node.text_content or "")
            return None
        child = node.first_child
        tag = node.tag or ""
        if tag.startswith("-"):
            return None
        attributes = node.attributes
        styles = self._styles.of(node, attributes.get("style"))
        parent = self._open[-1].look if self._open else Look()
        look = look_of(tag, attributes, styles, parent)
        is_block = self._begin(tag, attributes, styles, look)
        if child is not None:
            target = attributes.get("href") if tag == "a" else None
            self._open.append(_Open(tag, look, is_block, target or "", len(self._link_text)))
        return child

    def _begin(self, tag: str, attributes: Attributes, styles: dict[str, str], look: Look) -> bool:
        display = styles.get("display", "")
        is_block = (
            tag in BLOCKS
            if display in ("", "inherit")
            else display
            in ("block", "flex", "grid", "table", "list-item", "table-row", "flow-root")
        )
        if tag == "br":
            self.layout.end_line()
        elif is_block:
            self.layout.end_block(tag in PARAGRAPHS)
        if tag == "blockquote":
            self.layout.change_quotes(+1)
        elif tag == "li":
            self.layout.begin_item()
        elif tag in _CELLS or display == "table-cell":
            self.layout.add(" ")
        elif tag == "img":
            self._add_image(attributes, look)
        return is_block

    def _leave(self) -> None:
        closed = self._open.pop()
        if closed.is_block:
            self.layout.end_block(closed.tag in PARAGRAPHS)
        if closed.tag == "blockquote":
            self.layout.change_quotes(-1)
        elif closed.target and closed.look.shows_images:
            text = "".join(self._link_text[closed.num_characters :])
            note = self._links.note(text, closed.target) if text.strip() else ""
            self.layout.add(f" {note}" if note else "")

    def _add(self, text: str) -> None:
        look = self._open[-1].look if self._open else Look()
        if look.shows_text:
            self._link_text.append(text)
            self.layout.add(text, look.keeps_lines)
        elif not self.hides_text and self._open[-1].tag not in ("script", "style", "title"):
            self.hides_text = any(character.isalnum() for character in text)

    def _add_image(self, attributes: Attributes, look: Look) -> None:
        alt = (attributes.get("alt") or "").strip()
        if alt and look.shows_images and not _FILE_NAME.fullmatch(alt):
            text = f"[image: {alt}]"
            self._link_text.append(text)
            self.layout.add(text)

"""The text of an HTML email, for reading by a machine: words, lines, quotations.

It knows which elements break lines and which are not text; it does not render tables or styles.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

# A newsletter has 100 kB; the model's window ends far below this.
MAX_HTML_CHARACTERS = 1_000_000
# What is not text, or not the mail's.
SKIPPED = {"script", "style", "svg", "template", "title"}
BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt",
    "fieldset", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "tr", "ul",
}  # fmt: skip
# Around these a line is left empty.
PARAGRAPHS = {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "table", "ul"}
MAX_QUOTES = 8

# A `<` that begins no tag. html.parser would look for its end up to the end of the text, for each
# anew: 60 kB of them take it 20 s.
_LONE = re.compile(r"<(?![^<>]*>)")
# `<![if mso]>`, `<![CDATA[`: html.parser asserts that it knows the keyword.
_MARKED = re.compile(r"<!\[[^<>]*>")
# Soft hyphens and spaces without width: newsletters pad their previews with hundreds.
_INVISIBLE = re.compile("[\u00ad\u034f\u200b\u2060\ufeff]+")
_SPACES = re.compile(r"\s+")


def html_to_text(html: str) -> str:
    """Lines of text; blockquotes begin with `> `, list items with `- `. Never raises."""
    parser = _Parser()
    parser.feed(_tidy(html[:MAX_HTML_CHARACTERS]))
    parser.close()
    return parser.text()


def _tidy(html: str) -> str:
    return _LONE.sub("&lt;", _MARKED.sub("", _without_comments(html)))


def _without_comments(html: str) -> str:
    kept = []
    start = 0
    while (found := html.find("<!--", start)) >= 0:
        kept.append(html[start:found])
        end = html.find("-->", found)
        if end < 0:
            start = found + len("<!--")  # it has no end: the mail was not meant to be empty
            break
        start = end + len("-->")
    return "".join(kept) + html[start:]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._has_gap = False  # before the next line
        self._num_quotes_before = 0
        self._skipped = ""  # the element that is being left out, and how often it is open
        self._num_skipped = 0
        self._num_quotes = 0
        self._num_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._num_skipped:
            self._num_skipped += tag == self._skipped
            return
        if tag in SKIPPED:
            self._skipped, self._num_skipped = tag, 1
            return
        self._end_block(tag)
        if tag == "blockquote":
            self._num_quotes += 1
        elif tag == "pre":
            self._num_pre += 1
        elif tag == "li":
            self._line.append("- ")
        elif tag in ("td", "th"):
            self._line.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._num_skipped:
            self._num_skipped -= tag == self._skipped
            return
        self._end_block(tag)
        if tag == "blockquote":
            self._num_quotes = max(0, self._num_quotes - 1)
        elif tag == "pre":
            self._num_pre = max(0, self._num_pre - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in SKIPPED:  # `<title/>` has nothing to leave out
            self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self._num_skipped:
            return
        data = _INVISIBLE.sub("", data)
        if not self._num_pre:
            self._line.append(data)
            return
        first, *others = data.splitlines() or [""]
        self._line.append(first)
        for line in others:
            self._end_line()
            self._line.append(line)

    def text(self) -> str:
        self._end_line()
        return "\n".join(self._lines)

    def _end_block(self, tag: str) -> None:
        if tag == "br" or (tag in BLOCKS and any(piece.strip() for piece in self._line)):
            self._end_line()
        self._has_gap = self._has_gap or tag in PARAGRAPHS

    def _end_line(self) -> None:
        words = _SPACES.sub(" ", "".join(self._line)).strip()
        self._line = []
        if not words:
            self._has_gap = True
            return
        num_quotes = min(self._num_quotes, MAX_QUOTES)
        if self._has_gap and self._lines:
            self._lines.append(("> " * min(num_quotes, self._num_quotes_before)).rstrip())
        self._lines.append("> " * num_quotes + words)
        self._has_gap, self._num_quotes_before = False, num_quotes

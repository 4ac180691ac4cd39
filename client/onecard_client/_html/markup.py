"""HTML made fit for a parser: bounded in length, depth and attributes, without comments."""

from __future__ import annotations

import re
from typing import NamedTuple

# A newsletter has 100 kB; the model's window ends far below this.
MAX_HTML_CHARACTERS = 1_000_000
# Before images are taken out; servers pass on 25 MB or so.
MAX_RAW_CHARACTERS = 40_000_000
_DATA = re.compile(
    r"(data:image/[\w.+-]{1,40})(?:;[\w=-]{1,40}){0,4},[A-Za-z0-9+/=%\s_-]{64,}", re.I
)


class Markup(NamedTuple):
    """HTML for the parser, and whether text may have been left out on the way."""

    html: str
    hides_text: bool


def bounded(html: str) -> Markup:
    """HTML whose parsing takes a time that grows with its length."""
    html = _DATA.sub(r"\1,", html[:MAX_RAW_CHARACTERS])
    html = html.encode("utf-8", "replace").decode().replace("\0", "")
    return Markup(_without_comments(html[:MAX_HTML_CHARACTERS]), False)


def _without_comments(html: str) -> str:
    kept = []
    start = 0
    while (comment := html.find("<!--", start)) >= 0:
        kept.append(html[start:comment])
        end = html.find("-->", comment)
        if end < 0:
            start = comment + len("<!--")  # it has no end: the mail was not meant to be empty
            break
        start = end + len("-->")
    return "".join(kept) + html[start:]

"""Branches of `multipart/alternative`: shown once if they say the same, else with the difference.

Most mail programs show the HTML. A harmless plain text next to it is an old way to get an email
past filters that read only the plain text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from html import unescape
from itertools import pairwise
from typing import NamedTuple

from onecard_client._mailbox.html.links import unwrapped

# Texts of which so much is not in the other one are two texts.
MAX_DIFFERENT_SHARE = 0.5
# So many words in a line that the other text lacks are told.
MIN_WORDS_TOLD = 3

ONLY_IN_HTML = "[only in the HTML of this mail, which most mail programs show:]"
ONLY_IN_PLAIN = "[only in the plain text of this mail, which few mail programs show:]"

_ADDRESS = re.compile(
    r"<?\b(?:https?://|www\.)[^\s<>]+>?|<[\w.-]+\.\w+>|[^\s<>]+@[^\s<>]+"
    r"|\[image(?:: |\])|\[cid:[^\]]*\]|\[\d{1,3}\]",  # what footnotes are called
    re.I,
)
_HOST = re.compile(
    r"(?:https?://|www\.|<)(?:www\.)?([\w-]+(?:\.[\w-]+)+)|@([\w-]+(?:\.[\w-]+)+)", re.I
)
_URL = re.compile(r"https?://[^\s<>\"]+", re.I)
# Letters of languages without blanks are words each.
_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]|[^\\W\\d_]+|\\d+")


@dataclass(frozen=True)
class Block:
    """A piece of a mail's text.

    Attributes:
        kind: `plain`, `html`, or `note`, which stands in whatever is told of the mail.
        hides_text: there was text in it that no reader sees.
    """

    kind: str
    text: str
    hides_text: bool = False


class _Line(NamedTuple):
    text: str
    words: list[str]
    hosts: set[str]


def chosen(branches: list[list[Block]]) -> list[Block]:
    """The text of the branches without repetition, and everybody's notes."""
    plain = _best(branches, "plain")
    html = _best(branches, "html")
    has_both = plain and html and plain is not html
    told = _both(plain, html) if has_both else html or plain
    others = [branch for branch in branches if branch is not plain and branch is not html]
    for branch in others:
        told = _with_difference(told, branch)
    taken = {id(block) for block in told}
    notes = [block for branch in branches for block in branch if block.kind == "note"]
    return told + [note for note in notes if id(note) not in taken]


def says_the_same(first: str, second: str) -> bool:
    """Whether neither text has a line of its own."""
    one, other = _lines(first), _lines(second)
    return not _only_in(one, other) and not _only_in(other, one)


def _best(branches: list[list[Block]], kind: str) -> list[Block]:
    """The last branch with text of that kind, which is its sender's best (RFC 2046, 5.1.4)."""
    found = [branch for branch in branches if any(_has_text(block, kind) for block in branch)]
    return found[-1] if found else []


def _has_text(block: Block, *kinds: str) -> bool:
    return block.kind in kinds and bool(block.text.strip())


def _both(plain: list[Block], html: list[Block]) -> list[Block]:
    """The plain branch where it says what the HTML says, and whatever else the HTML says."""
    plain_lines, html_lines = _lines(_text(plain)), _lines(_text(html))
    only_in_plain, only_in_html = (
        _only_in(plain_lines, html_lines),
        _only_in(html_lines, plain_lines),
    )
    hides = any(block.hides_text for block in (*plain, *html))
    if not only_in_html and not _is_mostly(only_in_plain, plain_lines):
        return _hiding(plain, hides)
    if _is_mostly(only_in_plain, plain_lines) or _is_mostly(only_in_html, html_lines):
        return _hiding(html, hides) + _told(ONLY_IN_PLAIN, only_in_plain)
    return _hiding(plain, hides) + _told(ONLY_IN_HTML, only_in_html)


def _with_difference(told: list[Block], branch: list[Block]) -> list[Block]:
    """A further branch of either kind, as far as it says something else."""
    text = "\n".join(block.text for block in branch if block.kind != "note")
    if not text.strip():
        return told
    only = _only_in(_lines(text), _lines(_text(told)))
    return told + _told("[only in another version of this text:]", only)


def _hiding(branch: list[Block], hides: bool) -> list[Block]:
    return [block if block.kind == "note" else replace(block, hides_text=hides) for block in branch]


def _told(label: str, lines: list[_Line]) -> list[Block]:
    return [Block("plain", "\n".join([label, *(line.text for line in lines)]))] if lines else []


def _text(blocks: list[Block]) -> str:
    return "\n".join(block.text for block in blocks if block.kind != "note")


def _is_mostly(part: list[_Line], whole: list[_Line]) -> bool:
    num_words = sum(len(line.words) for line in whole)
    return sum(len(line.words) for line in part) > MAX_DIFFERENT_SHARE * num_words


def _lines(text: str) -> list[_Line]:
    found = []
    # many a program makes plain text by taking tags away, and leaves `&amp;`
    for line in unicodedata.normalize("NFKC", unescape(text)).splitlines():
        whole = _URL.sub(lambda url: unwrapped(url[0]), line)
        hosts = {(first or second).lower() for first, second in _HOST.findall(whole)}
        words = _WORD.findall(_ADDRESS.sub(" ", line).casefold())
        if words or hosts:
            found.append(_Line(line.strip(), words, hosts))
    return found


def _only_in(lines: list[_Line], others: list[_Line]) -> list[_Line]:
    """The lines that say what no line of `others` says, in the order of the text."""
    known = [word for line in others for word in line.words]
    pairs = set(pairwise(known))
    words = set(known)
    hosts = {host for line in others for host in line.hosts}
    sequence = [word for line in lines for word in line.words]
    is_new = _is_new(sequence, pairs, words)
    found, at = [], 0
    for line in lines:
        own = is_new[at : at + len(line.words)]
        news = [word for word, new in zip(line.words, own, strict=True) if new]
        at += len(own)
        if _is_telling(news, line, words) or line.hosts - hosts:
            found.append(line)
            hosts |= line.hosts  # each is told once
    return found


def _is_new(sequence: list[str], pairs: set[tuple[str, str]], words: set[str]) -> list[bool]:
    """Whether the other text lacks a word next to either of its neighbours, for each word."""
    if len(sequence) == 1:
        return [sequence[0] not in words]
    shared = [pair in pairs for pair in pairwise(sequence)]
    return [
        not (before or after)
        for before, after in zip([False, *shared], [*shared, False], strict=True)
    ]


def _is_telling(news: list[str], line: _Line, known: set[str]) -> bool:
    if line.text.startswith("[image: ") and len(line.words) < MIN_WORDS_TOLD:
        return False  # a logo
    if len(news) >= min(MIN_WORDS_TOLD, len(line.words)) and news:
        return any(word not in known for word in news) or len(news) >= MIN_WORDS_TOLD
    return any(word.isdigit() and word not in known for word in line.words)

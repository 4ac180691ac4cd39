"""Cuts the body of an email down to a number of tokens, so that what matters most stays.

The head gets half of the room. The lines at which an older email is quoted get at most a quarter,
and the tail gets what is left. Each gap says how much was cut. The caller says what a text costs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Count = Callable[[str], int]  # the tokens that a text takes

HEAD_SHARE = 1 / 2
BOUNDARY_SHARE = 1 / 4
MAX_PIECE_LETTERS = 160  # a longer line is cut between words, or else anywhere

_QUOTE = re.compile(r"[> ]*")
_BOUNDARY = re.compile(
    # the line before a quoted mail, by which mail programs of several languages end a header
    r".{0,300}\b(?:wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef)\b.{0,80}:$"
    r"|-{3,} ?\w.{0,60}?-{3,}$"  # -----Original Message-----, --- Forwarded message ---
    r"|Begin forwarded message:$"
    r"|_{10,}$",  # Outlook, before the older mail's header
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Gap:
    """A place of a text where `num_letters` were left out before."""

    place: int
    num_letters: int


NO_GAP = Gap(0, 0)


def shorten(text: str, max_tokens: int, count: Count, gap: Gap = NO_GAP) -> str:
    """The head, the tail and the boundaries of `text`, with a mark in place of each gap.

    Sums of parts are what is counted, so the whole may differ from `max_tokens` by a few.
    """
    pieces = list(_pieces(text[: gap.place]))
    before = len(pieces)
    pieces += _pieces(text[gap.place :])
    mark_tokens = count(_mark(len(text) + gap.num_letters))
    left = max_tokens - mark_tokens  # between head and tail there is a gap in any case

    def take(order: Iterable[int], room: float, extra_tokens: int = 0) -> set[int]:
        """Take pieces in the order of `order` until one does not fit `room`."""
        taken = set()
        for index in order:
            room -= count(pieces[index]) + extra_tokens
            if room < 0:
                break
            taken.add(index)
        return taken

    head = take(range(len(pieces)), left * HEAD_SHARE)
    inner = [index for index in _boundaries(pieces) if index not in head]
    borders = take(inner, left * BOUNDARY_SHARE, mark_tokens)
    left -= sum(count(pieces[index]) for index in head)
    left -= sum(count(pieces[index]) + mark_tokens for index in borders)
    rest = (index for index in reversed(range(len(head), len(pieces))) if index not in borders)
    kept = head | borders | take(rest, left)
    return _joined(pieces, kept, before, gap.num_letters)


def _pieces(text: str) -> Iterator[str]:
    """Lines, and parts of long ones; joined, they are `text`."""
    for line in text.splitlines(keepends=True):
        start = 0
        while len(line) - start > MAX_PIECE_LETTERS:
            last = start + MAX_PIECE_LETTERS
            space = line.rfind(" ", start + MAX_PIECE_LETTERS // 2, last)
            end = space + 1 if space > 0 else last
            yield line[start:end]
            start = end
        if start < len(line):
            yield line[start:]


def _boundaries(pieces: Iterable[str]) -> Iterator[int]:
    """Where an older mail begins: lines that say so, and the first line of each quoted block."""
    depth = 0
    for index, piece in enumerate(pieces):
        quote = _QUOTE.match(piece)
        text = piece[quote.end() if quote else 0 :].strip()
        if not text:
            continue
        found = piece[: quote.end()].count(">") if quote else 0
        if found > depth or _BOUNDARY.match(text):
            yield index
        depth = found


def _joined(pieces: list[str], kept: set[int], gap: int, num_missing: int) -> str:
    """The kept pieces as one text; `num_missing` characters are missing before piece `gap`."""
    parts = []
    num_cut = 0
    for index, piece in enumerate(pieces):
        if index == gap:
            num_cut += num_missing
        if index not in kept:
            num_cut += len(piece)
            continue
        if num_cut:
            parts.append(_mark(num_cut))
            num_cut = 0
        parts.append(piece)
    if num_cut:
        parts.append(_mark(num_cut))
    return "".join(parts).strip()


def _mark(num_letters: int) -> str:
    return f"\n[... {num_letters} letters cut here ...]\n"

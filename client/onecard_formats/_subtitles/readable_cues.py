"""Cues that can be read: in order, none over another, each word in one, none without duration."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from onecard_formats._subtitles import breaks, scripts
from onecard_formats._subtitles.cue import Cue, milliseconds
from onecard_formats._subtitles.cue_breaks import Stretch, cut
from onecard_formats._subtitles.cue_times import Span, shown_spans
from onecard_formats._subtitles.lines import Ruler, columns, line_starts
from onecard_formats._subtitles.timed_text import TimedPiece, timed_pieces

if TYPE_CHECKING:
    from onecard_formats.subtitles import SubtitleLayout
    from onecard_formats.transcript import Segment, Transcript

_RIGHT_TO_LEFT_EMBEDDING, _POP_DIRECTION = "\u202b", "\u202c"
_UNDERLINE = re.compile("</?u>")
_ENGLISH = "en"


@dataclasses.dataclass(frozen=True)
class _Block:
    """The content of one cue."""

    pieces: Sequence[TimedPiece]
    label: str
    ruler: Ruler


def readable_cues(
    transcript: Transcript, layout: SubtitleLayout, escape: Callable[[str], str]
) -> Iterator[Cue]:
    blocks = [
        _Block([stretch.pieces[index] for index in indices], stretch.label, ruler)
        for stretch in _stretches(transcript, layout)
        for ruler in [_ruler(stretch, layout)]
        for indices in cut(stretch, ruler, layout)
    ]
    # stable: only where people talk at once does this change the order
    blocks.sort(key=lambda block: block.pieces[0].start_s)
    spans = [
        Span(
            block.pieces[0].start_s,
            block.pieces[-1].end_s,
            columns("".join(piece.separator + piece.text for piece in block.pieces)),
        )
        for block in blocks
    ]
    for block, shown_ms in zip(blocks, shown_spans(spans, layout), strict=True):
        yield from _cues_of_block(block, *shown_ms, layout.highlight_words, escape)


def text_language(transcript: Transcript, segment: Segment) -> str:
    """The language of a segment's text, which of a translation is English."""
    if transcript.options.get("task") == "translate":
        return _ENGLISH
    return segment.language or transcript.language


def _stretches(transcript: Transcript, layout: SubtitleLayout) -> Iterator[Stretch]:
    pieces: list[TimedPiece] = []
    speaker: str | None = None
    for segment in transcript.segments:
        language = text_language(transcript, segment)
        for piece in _following(timed_pieces(segment, language), pieces, language):
            changes = segment.speaker != speaker
            if pieces and (changes or _is_apart(pieces[-1], piece, layout)):
                yield _stretch(pieces, speaker, piece.start_s)
                pieces = []
            if not pieces:
                piece = dataclasses.replace(piece, price=breaks.AFTER_SENTENCE)
            speaker = segment.speaker
            pieces.append(piece)
    if pieces:
        yield _stretch(pieces, speaker, math.inf)


def _following(
    pieces: list[TimedPiece], before: Sequence[TimedPiece], language: str
) -> list[TimedPiece]:
    """The pieces of a segment, of which the first knows what was said before it."""
    if not pieces or not before:
        return pieces
    last, first = before[-1].text, pieces[0]
    separator = scripts.separator(last, first.text)
    price = min(breaks.AFTER_CLAUSE, breaks.price_between(last, first.text, language))
    return [dataclasses.replace(first, separator=separator, price=price), *pieces[1:]]


def _is_apart(before: TimedPiece, after: TimedPiece, layout: SubtitleLayout) -> bool:
    pause_s = after.start_s - before.end_s
    return pause_s > layout.long_pause_s or after.start_s < before.start_s


def _stretch(pieces: list[TimedPiece], speaker: str | None, next_s: float) -> Stretch:
    label = f"[{speaker}]: " if speaker is not None else ""
    # where the next one talks over this one, it has no bearing on where this one is cut
    free_until_s = next_s if next_s >= pieces[-1].start_s else math.inf
    return Stretch(pieces, label, speaker, free_until_s)


def _ruler(stretch: Stretch, layout: SubtitleLayout) -> Ruler:
    num_lines = layout.lines if layout.max_line_count is None else layout.max_line_count
    if layout.max_line_width is not None:
        return Ruler(layout.max_line_width, max(1, num_lines), len)
    text = "".join(piece.text for piece in stretch.pieces)
    is_wide = columns(text) > 1.5 * len(text)
    return Ruler(layout.wide_columns if is_wide else layout.columns, max(1, num_lines), columns)


def _cues_of_block(
    block: _Block, start_ms: int, end_ms: int, highlight: bool, escape: Callable[[str], str]
) -> Iterator[Cue]:
    starts = frozenset(line_starts(block.pieces, block.ruler, block.label))
    plain = _text(block, starts, None, escape)
    until_ms = start_ms
    for index, piece in enumerate(block.pieces):
        if not highlight or not piece.is_timed:
            continue
        word_start_ms = min(max(milliseconds(piece.start_s), until_ms), end_ms)
        word_end_ms = min(milliseconds(piece.end_s), end_ms)
        if word_end_ms <= word_start_ms:
            continue
        if word_start_ms > until_ms:
            yield Cue(until_ms, word_start_ms, plain)
        yield Cue(word_start_ms, word_end_ms, _text(block, starts, index, escape))
        until_ms = word_end_ms
    if until_ms < end_ms:
        yield Cue(until_ms, end_ms, plain)


def _text(
    block: _Block, starts: frozenset[int], underlined: int | None, escape: Callable[[str], str]
) -> str:
    lines = [escape(block.label)]
    for index, piece in enumerate(block.pieces):
        text = escape(piece.text)
        if index == underlined:
            text = f"<u>{text}</u>"
        if index in starts:
            lines.append(text)
        else:
            lines[-1] += (piece.separator if index else "") + text
    joined = "".join(piece.separator + piece.text for piece in block.pieces)
    if scripts.is_right_to_left(joined):
        lines = [_turned(line.rstrip()) for line in lines]
    return "\n".join(line.rstrip() for line in lines).replace("-->", "->")


def _turned(line: str) -> str:
    """Marked as right to left, for players that take every line for left to right."""
    if not scripts.needs_direction(_UNDERLINE.sub("", line)):
        return line
    return f"{_RIGHT_TO_LEFT_EMBEDDING}{line}{_POP_DIRECTION}"

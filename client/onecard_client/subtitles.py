"""Subtitle cues: words broken into lines and lines into cues, by WhisperX's rules.

It knows when a cue is shown and what it says; it does not know how SRT or VTT write that down.
The rules are those of `SubtitlesWriter.iterate_result` in WhisperX 3.8.6 (whisperx/utils.py);
where they lose or misattribute text, `SubtitleLayout.whisperx_compat` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onecard_client.transcript import Segment, Transcript, Word

LANGUAGES_WITHOUT_SPACES = ("ja", "zh")
# WhisperX's numbers: the width of a line that nobody limited, and the pause between two words'
# starts after which a cue ends even though there is room.
UNLIMITED_LINE_WIDTH = 1000
LONG_PAUSE_S = 3.0


@dataclass(frozen=True)
class SubtitleLayout:
    """How words become cues.

    Attributes:
        max_line_width: characters in a line; None for no limit.
        max_line_count: lines in a cue. With a width as well, words flow from segment to segment;
            otherwise every segment is a cue of its own.
        highlight_words: one cue per word, with that word underlined.
        whisperx_compat: WhisperX's output to the byte, with what is wrong in it: segments that
            could not be aligned vanish, two speakers can share a cue, a line's width does not
            count its spaces, Japanese and Chinese get spaces under `highlight_words`, and `-->`,
            `<` and `&` stand as they are.
    """

    max_line_width: int | None = None
    max_line_count: int | None = None
    highlight_words: bool = False
    whisperx_compat: bool = False


@dataclass(frozen=True)
class Cue:
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class _Piece:
    """A word in its place: `after_break` if it opens a line that is not its cue's first."""

    text: str
    segment: Segment
    word: Word | None
    after_break: bool


def separator_of(language: str) -> str:
    """What stands between two words of `language`."""
    return "" if language in LANGUAGES_WITHOUT_SPACES else " "


def cues(
    transcript: Transcript, layout: SubtitleLayout, escape: Callable[[str], str] = str
) -> Iterator[Cue]:
    """The cues of `transcript`; `escape` makes a word safe for the format that they go to."""
    if layout.whisperx_compat and not transcript.words:
        yield from _cues_of_plain_segments(transcript)
        return
    separator = separator_of(transcript.language)
    for block in _Blocks(layout, separator).of(transcript):
        yield from _cues_of_block(block, layout, separator, escape)


def milliseconds(seconds: float) -> int:
    """Rounded as WhisperX rounds; a negative time, which no cue can have, becomes zero."""
    return max(0, round(seconds * 1000.0))


def _cues_of_plain_segments(transcript: Transcript) -> Iterator[Cue]:
    """WhisperX's other path, for a transcript that was not aligned."""
    for segment in transcript.segments:
        text = _speaker_prefix(segment, str) + segment.text.strip().replace("-->", "->")
        yield Cue(milliseconds(segment.start), milliseconds(segment.end), text)


class _Blocks:
    """Fills lines with words and blocks with lines; a block is what one cue shows."""

    def __init__(self, layout: SubtitleLayout, separator: str) -> None:
        self._compat = layout.whisperx_compat
        self._separator = separator
        self._joint = 0 if self._compat else len(separator)
        self._width = (
            UNLIMITED_LINE_WIDTH if layout.max_line_width is None else layout.max_line_width
        )
        self._max_lines = layout.max_line_count
        self._flows = layout.max_line_width is not None and layout.max_line_count is not None
        self._last_start = 0.0
        self._clear()

    def _clear(self) -> None:
        self._block: list[_Piece] = []
        self._line_len = 0
        self._num_lines = 1

    def of(self, transcript: Transcript) -> Iterator[list[_Piece]]:
        self._last_start = transcript.segments[0].start if transcript.segments else 0.0
        for segment in transcript.segments:
            yield from self._add_segment(segment)
        if self._block:
            yield self._block

    def _add_segment(self, segment: Segment) -> Iterator[list[_Piece]]:
        untimed = not segment.words
        if untimed and self._compat:
            return  # WhisperX forgets it
        opens_block = untimed or not self._flows or self._speaker_changes(segment)
        for text, word in self._units(segment):
            if self._block and (opens_block or self._ends_block(text, word)):
                yield self._block
                self._clear()
            opens_block = False
            self._add(text, word, segment)
        if untimed and self._block:
            yield self._block
            self._clear()

    def _units(self, segment: Segment) -> Iterator[tuple[str, Word | None]]:
        if self._compat:
            yield from ((word.word, word) for word in segment.words)
        elif segment.words:
            tidy = ((" ".join(word.word.split()), word) for word in segment.words)
            yield from ((text, word) for text, word in tidy if text)
        else:
            parts = segment.text.split() if self._separator else list(segment.text.strip())
            yield from ((part, None) for part in parts)

    def _speaker_changes(self, segment: Segment) -> bool:
        return (
            not self._compat
            and bool(self._block)
            and self._block[-1].segment.speaker != segment.speaker
        )

    def _pauses(self, word: Word | None) -> bool:
        return (
            self._flows
            and word is not None
            and word.start is not None
            and word.start - self._last_start > LONG_PAUSE_S
        )

    def _fits(self, text: str) -> bool:
        return self._line_len > 0 and self._line_len + self._joint + len(text) <= self._width

    def _ends_block(self, text: str, word: Word | None) -> bool:
        if self._max_lines is None or word is None:
            return False
        if self._pauses(word):
            return True
        return not self._fits(text) and self._num_lines >= self._max_lines

    def _add(self, text: str, word: Word | None, segment: Segment) -> None:
        fits = self._fits(text)
        after_break = not fits and self._line_len > 0
        if fits:
            self._line_len += self._joint + len(text)
        else:
            text = text.strip()
            self._line_len = len(text)
            self._num_lines += after_break
        self._block.append(_Piece(text, segment, word, after_break))
        if word is not None and word.start is not None:
            self._last_start = word.start


def _cues_of_block(
    block: list[_Piece], layout: SubtitleLayout, separator: str, escape: Callable[[str], str]
) -> Iterator[Cue]:
    compat = layout.whisperx_compat
    prefix = _speaker_prefix(block[0].segment, escape)
    start_ms, end_ms = _span_ms(block, compat)

    def text(underlined: int | None = None) -> str:
        joint = " " if compat and underlined is not None else separator
        joined = prefix + _join(block, joint, underlined, escape, compat)
        return joined if compat else joined.replace("-->", "->")

    if not layout.highlight_words or not any(_is_timed(piece) for piece in block):
        yield Cue(start_ms, end_ms, text())
        return
    shown_until_ms = start_ms
    for index, piece in enumerate(block):
        if piece.word is None or piece.word.start is None or piece.word.end is None:
            continue
        word_start_ms = milliseconds(piece.word.start)
        if word_start_ms > shown_until_ms or (compat and word_start_ms != shown_until_ms):
            yield Cue(shown_until_ms, word_start_ms, text())
        shown_until_ms = milliseconds(piece.word.end)
        yield Cue(word_start_ms, shown_until_ms, text(underlined=index))


def _is_timed(piece: _Piece) -> bool:
    return piece.word is not None and piece.word.start is not None and piece.word.end is not None


def _span_ms(block: list[_Piece], compat: bool) -> tuple[int, int]:
    """From the first word's start to the last word's end, or the segments' if no word is timed."""
    words = [piece.word for piece in block if piece.word is not None]
    starts = [word.start for word in words if word.start is not None]
    ends = [word.end for word in words if word.end is not None]
    if starts and ends:
        return milliseconds(min(starts)), milliseconds(max(ends))
    first, last = block[0].segment, block[0 if compat else -1].segment
    return milliseconds(first.start), milliseconds(last.end)


def _join(
    block: list[_Piece],
    joint: str,
    underlined: int | None,
    escape: Callable[[str], str],
    compat: bool,
) -> str:
    parts: list[str] = []
    for index, piece in enumerate(block):
        text = piece.text if compat else escape(piece.text)
        if piece.after_break:
            # WhisperX leaves the joining space in front of the line break
            parts.append(joint + "\n" if compat else "\n")
        elif index:
            parts.append(joint)
        parts.append(_underline(text) if index == underlined else text)
    return "".join(parts)


def _underline(text: str) -> str:
    word = text.lstrip()
    if "\n" in word:
        return text  # WhisperX does not underline a word with a line break inside, which is rare
    return f"{text[: len(text) - len(word)]}<u>{word}</u>"


def _speaker_prefix(segment: Segment, escape: Callable[[str], str]) -> str:
    return f"[{escape(segment.speaker)}]: " if segment.speaker is not None else ""

"""Subtitle cues as WhisperX 3.8.6 makes them, to the byte and with what is wrong in them.

The rules are those of `SubtitlesWriter.iterate_result` (whisperx/utils.py). Segments that could
not be aligned vanish, two speakers can share a cue, a line's width counts neither its spaces nor
the speaker's label, and Japanese and Chinese get spaces under `highlight_words` and lose them
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecard_formats._subtitles.cue import Cue, milliseconds

if TYPE_CHECKING:
    from onecard_formats.subtitles import SubtitleLayout
    from onecard_formats.transcript import Segment, Transcript, Word

_LANGUAGES_WITHOUT_SPACES = ("ja", "zh")
_UNLIMITED_LINE_WIDTH = 1000
_LONG_PAUSE_S = 3.0  # between two words' starts; the cue then ends though there is room


@dataclass(frozen=True)
class _Piece:
    """A word in its place: `after_break` if it opens a line that is not its cue's first."""

    text: str
    segment: Segment
    word: Word
    after_break: bool


def whisperx_cues(transcript: Transcript, layout: SubtitleLayout) -> Iterator[Cue]:
    if not transcript.words:
        yield from _cues_of_plain_segments(transcript)
        return
    separator = "" if transcript.language in _LANGUAGES_WITHOUT_SPACES else " "
    for block in _Blocks(layout).split(transcript):
        yield from _cues_of_block(block, layout.highlight_words, separator)


def _cues_of_plain_segments(transcript: Transcript) -> Iterator[Cue]:
    """WhisperX's other path, for a transcript that was not aligned."""
    for segment in transcript.segments:
        text = _speaker_prefix(segment) + segment.text.strip().replace("-->", "->")
        yield Cue(milliseconds(segment.start), milliseconds(segment.end), text)


class _Blocks:
    """Fills lines with words and blocks with lines; a block is what one cue shows."""

    def __init__(self, layout: SubtitleLayout) -> None:
        width = layout.max_line_width
        self._width = _UNLIMITED_LINE_WIDTH if width is None else width
        self._max_lines = layout.max_line_count
        self._flows = width is not None and self._max_lines is not None
        self._last_start = 0.0
        self._clear()

    def _clear(self) -> None:
        self._block: list[_Piece] = []
        self._line_len = 0
        self._num_lines = 1

    def split(self, transcript: Transcript) -> Iterator[list[_Piece]]:
        self._last_start = transcript.segments[0].start
        for segment in transcript.segments:
            opens_block = not self._flows
            for word in segment.words:
                if self._block and (opens_block or self._ends_block(word)):
                    yield self._block
                    self._clear()
                opens_block = False
                self._add(word, segment)
        if self._block:
            yield self._block

    def _pauses(self, word: Word) -> bool:
        return (
            self._flows and word.start is not None and word.start - self._last_start > _LONG_PAUSE_S
        )

    def _fits(self, text: str) -> bool:
        return self._line_len > 0 and self._line_len + len(text) <= self._width

    def _ends_block(self, word: Word) -> bool:
        if self._max_lines is None:
            return False
        if self._pauses(word):
            return True
        return not self._fits(word.word) and self._num_lines >= self._max_lines

    def _add(self, word: Word, segment: Segment) -> None:
        text = word.word
        fits = self._fits(text)
        after_break = not fits and self._line_len > 0
        if fits:
            self._line_len += len(text)
        else:
            text = text.strip()
            self._line_len = len(text)
            self._num_lines += after_break
        self._block.append(_Piece(text, segment, word, after_break))
        if word.start is not None:
            self._last_start = word.start


def _cues_of_block(block: list[_Piece], highlight: bool, separator: str) -> Iterator[Cue]:
    prefix = _speaker_prefix(block[0].segment)
    start_ms, end_ms = _span_ms(block)
    timed = [
        (index, piece.word.start, piece.word.end)
        for index, piece in enumerate(block)
        if piece.word.start is not None and piece.word.end is not None
    ]
    if not highlight or not timed:
        yield Cue(start_ms, end_ms, prefix + _join(block, separator))
        return
    shown_until_ms = start_ms
    for index, word_start_s, word_end_s in timed:
        word_start_ms = milliseconds(word_start_s)
        if word_start_ms != shown_until_ms:
            yield Cue(shown_until_ms, word_start_ms, prefix + _join(block, separator))
        shown_until_ms = milliseconds(word_end_s)
        yield Cue(word_start_ms, shown_until_ms, prefix + _join(block, " ", index))


def _span_ms(block: list[_Piece]) -> tuple[int, int]:
    """The span from the first word to the last, or the segment's if no word is timed."""
    starts = [piece.word.start for piece in block if piece.word.start is not None]
    ends = [piece.word.end for piece in block if piece.word.end is not None]
    if starts and ends:
        return milliseconds(min(starts)), milliseconds(max(ends))
    segment = block[0].segment
    return milliseconds(segment.start), milliseconds(segment.end)


def _join(block: list[_Piece], joint: str, underlined: int | None = None) -> str:
    parts: list[str] = []
    for index, piece in enumerate(block):
        if piece.after_break:
            parts.append(joint + "\n")  # WhisperX leaves the space in front of the line break
        elif index:
            parts.append(joint)
        parts.append(_underline(piece.text) if index == underlined else piece.text)
    return "".join(parts)


def _underline(text: str) -> str:
    word = text.lstrip()
    if "\n" in word:
        return text  # WhisperX does not underline a word with a line break inside
    return f"{text[: len(text) - len(word)]}<u>{word}</u>"


def _speaker_prefix(segment: Segment) -> str:
    return f"[{segment.speaker}]: " if segment.speaker is not None else ""

"""Subtitles: what is shown when, in SRT and VTT.

Each number of `SubtitleLayout` is from what professionals go by:

- Netflix, Timed Text Style Guide, General Requirements: two lines, a cue of 5/6 s to 7 s, breaks
  behind punctuation and before conjunctions and prepositions; English: 42 characters in a line, 17
  (templates) to 20 a second; Chinese and Korean: 16 characters of full width.
  https://partnerhelp.netflixstudios.com/hc/en-us/articles/215758617
- Netflix, Subtitle Timing Guidelines: two frames between cues, and smaller gaps than half a second
  closed to that. https://partnerhelp.netflixstudios.com/hc/en-us/articles/360051554394
- BBC, Subtitle Guidelines: one sentence in a cue where that goes, and a cue stays no more than
  1.5 s after its speech. https://www.bbc.co.uk/accessibility/forproducts/guides/subtitles/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecard_formats._subtitles.cue import Cue
from onecard_formats._subtitles.readable_cues import readable_cues
from onecard_formats._subtitles.whisperx_cues import whisperx_cues

if TYPE_CHECKING:
    from onecard_formats.transcript import Transcript

__all__ = ["Cue", "SubtitleLayout", "cues"]


@dataclass(frozen=True)
class SubtitleLayout:
    """How text becomes cues; times in seconds.

    Attributes:
        max_line_width: characters in a line, the speaker's label counted; None for `columns`.
        max_line_count: lines in a cue; None for `lines`.
        highlight_words: the cue once for each word, with that word underlined.
        whisperx_compat: WhisperX's output to the byte, with what is wrong in it; the first three
            mean what they mean there, and the numbers below count for nothing.
        columns: width of a line on the screen, where a full-width character takes two.
        wide_columns: the same for text that is mostly of full width: 16 such characters.
        lines: in a cue.
        chars_per_s: columns that are read in a second; a cue stays on for it where it can.
        min_duration_s: of a cue, where the next one leaves the time.
        max_duration_s: of a cue.
        min_gap_s: between cues: two frames of 24 in a second.
        closed_gap_s: a smaller gap is closed to `min_gap_s`.
        max_linger_s: for reading, a cue stays so long behind its speech and no longer.
        long_pause_s: in speech; it always ends a cue.
    """

    max_line_width: int | None = None
    max_line_count: int | None = None
    highlight_words: bool = False
    whisperx_compat: bool = False
    columns: int = 42
    wide_columns: int = 32
    lines: int = 2
    chars_per_s: float = 17.0
    min_duration_s: float = 5 / 6
    max_duration_s: float = 7.0
    min_gap_s: float = 2 / 24
    closed_gap_s: float = 0.5
    max_linger_s: float = 1.5
    long_pause_s: float = 1.5


def cues(
    transcript: Transcript, layout: SubtitleLayout, escape: Callable[[str], str] = str
) -> Iterator[Cue]:
    """The cues of `transcript`, in order; `escape` makes text safe for the format it goes to."""
    if layout.whisperx_compat:
        yield from whisperx_cues(transcript, layout)
    else:
        yield from readable_cues(transcript, layout, escape)

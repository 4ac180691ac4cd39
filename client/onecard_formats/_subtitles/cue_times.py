"""Computes when cues are shown: as long as they need, and never two at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecard_formats._subtitles.cue import milliseconds

if TYPE_CHECKING:
    from onecard_formats.subtitles import SubtitleLayout


@dataclass(frozen=True)
class Span:
    """A cue's speech, in seconds, and how much of it there is to read."""

    start_s: float
    end_s: float
    columns: int


def shown_spans(spans: Sequence[Span], layout: SubtitleLayout) -> list[tuple[int, int]]:
    """The start and end of each cue in ms; `spans` are in the order of their starts.

    Where people talk at once a cue waits until the one before had half of the least duration.
    """
    starts: list[float] = []
    for span in spans:
        earliest_s = starts[-1] + layout.min_duration_s / 2 if starts else 0.0
        starts.append(max(span.start_s, earliest_s, 0.0))
    found: list[tuple[int, int]] = []
    longest_ms = milliseconds(layout.max_duration_s)
    for index, (span, start_s) in enumerate(zip(spans, starts, strict=True)):
        next_s = starts[index + 1] if index + 1 < len(starts) else math.inf
        start_ms = milliseconds(start_s)
        end_ms = milliseconds(_end(span, start_s, next_s, layout))
        found.append((start_ms, min(end_ms, start_ms + longest_ms)))
    return found


def _end(span: Span, start_s: float, next_s: float, layout: SubtitleLayout) -> float:
    read_s = start_s + span.columns / layout.chars_per_s
    wanted_s = max(
        span.end_s,
        start_s + layout.min_duration_s,
        min(read_s, span.end_s + layout.max_linger_s),
    )
    if next_s - wanted_s < max(layout.closed_gap_s, layout.min_gap_s):
        # a gap of this size is taken for a flicker; half of what is free is shown at least
        wanted_s = max(next_s - layout.min_gap_s, (start_s + next_s) / 2)
    return min(wanted_s, start_s + layout.max_duration_s)

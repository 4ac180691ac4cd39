"""Where sound lies on the time line that a player shows, and the silence that makes it so.

A stream may begin after the picture, stop for a while, or lose packets to damage. The words after
that have to keep their times, so what is not there becomes silence of its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from av.stream import Disposition

# Shorter gaps are the rounding of time stamps (1 ms in Matroska) and encoders' delay (AAC's is
# 46 ms at 44.1 kHz).
MIN_GAP_S = 0.1
MIN_EXACT_GAP_S = 0.001  # where stamps count samples and encoders have no delay
# Where nothing says how long a recording is, a longer gap is a clock that was set.
MAX_GAP_S = 600.0


@dataclass
class Timeline:
    """Follows the frames of a stream.

    Args:
        origin_s: the first presented moment of the recording, on the stream's clock.
        end_s: its declared end on that clock, where there is one.
        min_gap_s: what is shorter is no gap.

    Attributes:
        gaps: [start, end) in seconds from the origin of all silence that was put in.
    """

    origin_s: float
    end_s: float | None
    min_gap_s: float = MIN_GAP_S
    gaps: list[tuple[float, float]] = field(default_factory=list)
    _heard_s: float = 0.0  # of sound and silence so far
    _shift_s: float = 0.0  # by which the stream's clock is off

    def gap_s(self, frame: Any, late_s: float = 0.0) -> float:
        """Seconds of silence that belong ahead of `frame`; 0 for most.

        `late_s`: by how much the frame is later than its stamp.
        """
        gap_s = 0.0
        if frame.time is not None:
            at_s = frame.time + late_s - self.origin_s - self._shift_s
            gap_s = at_s - self._heard_s
            if not self._is_gap(gap_s, at_s):
                if abs(gap_s) > self.min_gap_s:  # the clock jumped: joined streams begin again at 0
                    self._shift_s += gap_s
                gap_s = 0.0
        if gap_s:
            self.gaps.append((self._heard_s, self._heard_s + gap_s))
        self._heard_s += gap_s + frame.samples / frame.sample_rate
        return gap_s

    def _is_gap(self, gap_s: float, at_s: float) -> bool:
        if gap_s < self.min_gap_s:
            return False
        if self.end_s is not None and self._shift_s == 0:
            return at_s <= self.end_s - self.origin_s + MIN_GAP_S
        return gap_s <= MAX_GAP_S


def origin_s(container: Any, stream: Any) -> float:
    """The first moment of sound or moving picture; a cover is no picture that moves."""
    starts = [
        float(other.start_time * other.time_base)
        for other in container.streams
        if other.type in ("audio", "video")
        and other.start_time is not None
        and not other.disposition & Disposition.attached_pic
    ]
    own = stream.start_time
    own_s = float(own * stream.time_base) if own is not None else 0.0
    return min([own_s, *starts])

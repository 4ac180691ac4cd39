"""A cue: what a subtitle file shows at one time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cue:
    start_ms: int
    end_ms: int
    text: str


def milliseconds(seconds: float) -> int:
    """Rounded as WhisperX rounds; a negative time, which no cue can have, becomes zero."""
    return max(0, round(seconds * 1000.0))

"""Subtitles: what is shown when, in SRT and VTT."""

from __future__ import annotations

from onecard_formats.subtitles import Cue, SubtitleLayout, cues

__all__ = ["Cue", "SubtitleLayout", "cues"]

"""The events of `transcribe_stream`: progress, segments as they are ready, and the transcript
last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onecard_client.transcript import Segment, Transcript


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of a stage are finished; stages may run side by side."""

    stage: str
    done: float
    total: float
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Segments:
    """Segments that are ready; the transcript at the end has them all, with speakers."""

    segments: tuple[Segment, ...]
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


Event = Progress | Segments | Transcript

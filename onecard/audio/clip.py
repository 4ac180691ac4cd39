"""The request for a recording, and the description of what was decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Choice:
    """The choices of a caller about a file.

    Attributes:
        is_strict: a file that is not whole is refused.
        track: the number of an audio track, from 0; None: the one that a player would play.
        language: an ISO 639 code; of several tracks, one in this language is taken.
    """

    is_strict: bool = False
    track: int | None = None
    language: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What of a recording is wanted.

    Attributes:
        spans: [start, end) in seconds; none for all of it.
        is_separate: its channels one behind the other, instead of mixed.
    """

    spans: tuple[tuple[float, float], ...] = ()
    is_separate: bool = False

    @property
    def until_s(self) -> float:
        """Where decoding may stop; infinity for the recording's end."""
        return self.spans[-1][1] if self.spans else math.inf


@dataclass(frozen=True)
class Form:
    """Sound without a header: `encoding` is one of ENCODINGS, channels are interleaved."""

    encoding: str
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class Clip:
    """A description of the source of PCM; `duration_s` is that of the decoded samples.

    Attributes:
        track: the audio track that was taken, from 0, of `num_tracks`.
        start_s: silence ahead of the sound, which begins after the picture.
        missing_s: declared by the file and not in it.
        gaps: [start, end) of silence that stands for what is damaged or was never recorded.
        warnings: what was found and done, one sentence each.
        num_separate: channels that come one behind the other (`onecard.contract.lanes`), each of
            `duration_s`; 0 where they are mixed.
    """

    duration_s: float
    sample_rate: int
    channels: int
    container: str
    codec: str
    track: int = 0
    num_tracks: int = 1
    start_s: float = 0.0
    missing_s: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    warnings: tuple[str, ...] = field(default=())
    num_separate: int = 0


@dataclass(frozen=True)
class Limits:
    """The most that a request may hold."""

    max_audio_s: float
    max_audio_bytes: int

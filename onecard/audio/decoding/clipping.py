"""A recording of which only some spans are heard: silence between them, nothing behind the last."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from onecard.audio.clip import Clip
from onecard.audio.pcm import Pcm, Sink
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import InvalidRequest

Span = tuple[float, float]  # start_s, end_s


class Clipped:
    """Hands on the samples of `spans`, and silence in place of those before and between them."""

    def __init__(self, sink: Sink, spans: Sequence[Span]) -> None:
        self._sink = sink
        self._spans = [(_sample(start), _sample(end)) for start, end in spans]
        self._position = 0

    def write(self, block: Pcm) -> None:
        first, last = self._position, self._position + len(block)
        self._position = last
        heard = np.zeros_like(block)
        for start, end in self._spans:
            part = slice(max(0, start - first), max(0, min(end, last) - first))
            heard[part] = block[part]
        heard = heard[: max(0, self._spans[-1][1] - first)]
        if len(heard):
            self._sink.write(heard)

    def restart(self) -> None:
        self._position = 0
        self._sink.restart()


def clipped(sink: Sink, spans: Sequence[Span]) -> Sink:
    """The sink for what is wanted of a recording, `sink` itself where that is all of it."""
    return Clipped(sink, spans) if spans else sink


def _sample(time_s: float) -> int:
    return 1 << 62 if math.isinf(time_s) else round(time_s * SAMPLE_RATE)


def described(clip: Clip, spans: Sequence[Span]) -> Clip:
    """The clip up to the end of the last span.

    Raises:
        InvalidRequest: a span begins behind the end of the recording.
    """
    if not spans:
        return clip
    last_start_s, last_end_s = spans[-1]
    if last_start_s >= clip.duration_s:
        raise InvalidRequest(
            f"the part from {last_start_s:g} s on is asked for, AUDIO lasts {clip.duration_s:.3f} "
            "s; correct `offset` or `clip_timestamps`"
        )
    end_s = min(clip.duration_s, _sample(last_end_s) / SAMPLE_RATE)
    gaps = tuple((start, min(end, end_s)) for start, end in clip.gaps if start < end_s)
    return dataclasses.replace(clip, duration_s=end_s, gaps=gaps)

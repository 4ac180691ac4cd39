"""Writes the channels of a recording one behind the other, each at its own level."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from onecard.audio.clip import Limits, Wanted
from onecard.audio.decoding.clipping import clipped
from onecard.audio.decoding.mixdown import Seen, Treatment
from onecard.audio.pcm import Sink
from onecard.contract.lanes import GAP_S, Lanes
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import InvalidRequest

Run = Callable[[Treatment, Sink], Seen]  # decodes the recording once

_SAME = 0.9999  # of the correlation of two channels that are one


def write(
    run: Run, num_channels: int, mixed: Seen, limits: Limits, sink: Sink, wanted: Wanted
) -> list[str]:
    """Write each channel into `sink`, with GAP_S of silence between two.

    What measures is written into `sink` as well, and restarted: so its time is allowed for.

    Args:
        mixed: what a pass over all channels together found, which `sink` still has.

    Returns:
        Warnings.

    Raises:
        InvalidRequest: all channels together last longer than is served.
    """
    _verify(num_channels, mixed, limits, wanted)
    treatments = []
    for channel in range(num_channels):
        weights = tuple(float(other == channel) for other in range(num_channels))
        sink.restart()
        level = run(Treatment(weights), sink).meter.correction()
        treatments.append(Treatment(weights, level))
    sink.restart()
    for channel, treatment in enumerate(treatments):
        if channel:
            sink.write(np.zeros(round(GAP_S * SAMPLE_RATE), np.int16))
        run(treatment, clipped(sink, wanted.spans))
    return _warnings(num_channels, mixed)


def _verify(num_channels: int, mixed: Seen, limits: Limits, wanted: Wanted) -> None:
    duration_s = mixed.num_samples / SAMPLE_RATE
    if wanted.spans:
        duration_s = min(duration_s, wanted.spans[-1][1])
    if Lanes(num_channels, duration_s).end_s > limits.max_audio_s:
        raise InvalidRequest(
            f"AUDIO has {num_channels} channels of {duration_s:.1f} s, which take the time of all "
            f"of them where they are separate; at most {limits.max_audio_s:g} s are served, so "
            "send them one by one, or leave `separate_channels` out"
        )


def _warnings(num_channels: int, mixed: Seen) -> list[str]:
    if num_channels == 1:
        return ["the recording has one channel, so there is nothing to separate"]
    if num_channels == 2 and _are_same(mixed):
        return [
            "its two channels are the same, and each was transcribed; leave `separate_channels` "
            "out to have one"
        ]
    return []


def _are_same(mixed: Seen) -> bool:
    power = mixed.channels.power
    if power is None or len(power) != 2 or not power.all():
        return False
    both = math.sqrt(float(power[0] * power[1]))
    return mixed.channels.product / both > _SAME and abs(power[0] - power[1]) < 1e-3 * both

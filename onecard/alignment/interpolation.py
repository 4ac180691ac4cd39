"""Times for what could not be timed, from its neighbours.

The methods are those of WhisperX (whisperx/utils.py, `interpolate_nans`, which is pandas'
`interpolate` by position, then forward and backward fill).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from onecard.alignment.units import Timed

Method = Literal["nearest", "linear", "ignore"]


def fill(times: Sequence[Timed | None], method: Method) -> list[Timed | None]:
    """`times` with each None replaced; all of them stay where none is known or `ignore` is asked.

    `nearest` repeats the nearest neighbour by position (the earlier of two), `linear` spaces starts
    and ends evenly between the neighbours. Before the first and after the last known one, both
    repeat it.
    """
    known = [i for i, time in enumerate(times) if time is not None]
    if method == "ignore" or not known or len(known) == len(times):
        return list(times)
    starts_s = _fill([None if time is None else time.start_s for time in times], known, method)
    ends_s = _fill([None if time is None else time.end_s for time in times], known, method)
    return [
        time if time is not None else Timed(start_s, end_s, 0.0, is_interpolated=True)
        for time, start_s, end_s in zip(times, starts_s, ends_s, strict=True)
    ]


def _fill(values: Sequence[float | None], known: list[int], method: Method) -> list[float]:
    positions = np.arange(len(values))
    found = np.array([values[i] for i in known], float)
    if method == "linear":
        return [float(value) for value in np.interp(positions, known, found)]
    distances = np.abs(positions[:, None] - np.array(known))
    return [float(found[i]) for i in distances.argmin(axis=1)]

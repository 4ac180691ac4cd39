"""The parts of a recording that a caller names: to be transcribed, or to be taken as speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from onecard.errors import InvalidRequest, shown

Span = tuple[float, float]  # start_s, end_s; infinity is the recording's end

MAX_TIME_S = 1e6
MAX_SEGMENTS = 20_000
MAX_CLIP_TIMES = 1_000
MIN_SPAN_S = 0.02  # a shorter one may hold no sample that the models see


def clips(clip_times: str | Sequence[Any] | None) -> list[float] | None:
    """`clip_timestamps` as OpenAI writes them: start, end, start, end; the last end may be missing.

    Raises:
        InvalidRequest: no numbers, or times that do not increase.
    """
    if clip_times is None or clip_times == "":
        return None
    parts = clip_times.split(",") if isinstance(clip_times, str) else list(clip_times)
    if len(parts) > MAX_CLIP_TIMES:
        raise InvalidRequest(
            f"option `clip_timestamps` has {len(parts)} times, at most {MAX_CLIP_TIMES} are "
            "served; split it"
        )
    times = [_time("clip_timestamps", part) for part in parts]
    if times != sorted(set(times)):
        raise InvalidRequest(
            f"option `clip_timestamps` is {shown(clip_times)}, must be times that increase: start, "
            "end, start, end"
        )
    return times or None


def segments(spans: Sequence[Any] | None) -> list[dict[str, float]] | None:
    """`segments` in order of time, each as `{"start", "end"}`; pairs of numbers will do as well.

    Raises:
        InvalidRequest: one is neither, ends before it starts, or there are too many.
    """
    if spans is None:
        return None
    if len(spans) > MAX_SEGMENTS:
        raise InvalidRequest(
            f"option `segments` has {len(spans)}, at most {MAX_SEGMENTS} are served; split it"
        )
    found = [_segment(index, item) for index, item in enumerate(spans)]
    return sorted(found, key=lambda span: (span["start"], span["end"]))


def _segment(index: int, item: Any) -> dict[str, float]:
    name = f"segments[{index}]"
    if isinstance(item, dict) and {"start", "end"} <= set(item):
        bounds = [item["start"], item["end"]]
    elif isinstance(item, list) and len(item) == 2:
        bounds = item
    else:
        raise InvalidRequest(
            f'option `{name}` is {shown(item)}, must be {{"start": SECONDS, "end": SECONDS}}'
        )
    start_s, end_s = (_time(name, bound) for bound in bounds)
    if end_s - start_s < MIN_SPAN_S:
        raise InvalidRequest(
            f"option `{name}` is from {start_s:g} to {end_s:g} s, must last at least "
            f"{MIN_SPAN_S} s; correct it or leave it out"
        )
    return {"start": start_s, "end": end_s}


def _time(name: str, value: Any) -> float:
    try:
        time_s = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        time_s = math.nan
    if not 0 <= time_s <= MAX_TIME_S:
        raise InvalidRequest(
            f"option `{name}` holds {shown(value)}, must be seconds from 0 to {MAX_TIME_S:g}"
        )
    return time_s


def wanted(
    offset_s: float, duration_s: float | None, clip_timestamps: Sequence[float] | None
) -> tuple[Span, ...]:
    """The spans to be transcribed; none for the whole recording.

    Raises:
        InvalidRequest: both ways of naming them are used.
    """
    is_part = offset_s > 0 or duration_s is not None
    if is_part and clip_timestamps is not None:
        raise InvalidRequest(
            "`clip_timestamps` is given and `offset` or `duration` too; each names the part to "
            "be transcribed, so give one of them"
        )
    if is_part:
        return ((offset_s, math.inf if duration_s is None else offset_s + duration_s),)
    times = [*(clip_timestamps or ())]
    if len(times) % 2:
        times.append(math.inf)
    return tuple(zip(times[::2], times[1::2], strict=True))

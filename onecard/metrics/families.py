"""Every metric family that onecard's Python models publish, through Triton, at its /metrics.

Each metric also has the labels of `COMMON`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]

COMMON = ("model", "model_instance")
_STREAM_BUCKETS_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_STAGE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_FACTOR_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Family:
    """A metric family.

    Attributes:
        labels: beyond `COMMON`.
        buckets: upper bounds, of a histogram.
    """

    name: str
    kind: Kind
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


STREAMS = Family(
    "onecard_streams",
    "gauge",
    "Requests under way: sending (their parts still come), waiting (accepted, nothing is being "
    "done for them) or running",
    ("state",),
)
OLDEST_WAIT_S = Family(
    "onecard_oldest_wait_seconds", "gauge", "How long the longest waiting request has waited by now"
)
ENDED = Family(
    "onecard_streams_ended_total",
    "counter",
    "Requests that ended: done, refused (no room), cancelled (by the caller or its timeout), "
    "invalid or failed",
    ("outcome",),
)
STREAM_S = Family(
    "onecard_stream_seconds",
    "histogram",
    "Seconds from a whole request to the end of its answer, of those that were done",
    buckets=_STREAM_BUCKETS_S,
)
AUDIO_LEFT_S = Family(
    "onecard_audio_seconds_left", "gauge", "Seconds of audio that were accepted and are not done"
)
AUDIO_S = Family(
    "onecard_audio_seconds_total",
    "counter",
    "Seconds of audio that are done, those of recordings under way included",
)
FACTOR = Family(
    "onecard_real_time_factor",
    "histogram",
    "Seconds taken for each second of audio, of recordings that were done",
    buckets=_FACTOR_BUCKETS,
)
STAGE_S = Family(
    "onecard_stage_seconds",
    "histogram",
    "Seconds of a recording's calls to a model, without the wait for a turn",
    ("stage",),
    _STAGE_BUCKETS_S,
)
STAGE_ERRORS = Family(
    "onecard_stage_errors_total",
    "counter",
    "A recording's calls to a model that failed",
    ("stage",),
)
LLM_CALLS = Family("onecard_llm_calls_total", "counter", "Calls to the language model that ended")
LLM_TOKENS = Family(
    "onecard_llm_tokens_total",
    "counter",
    "Tokens of calls to the language model: in (of prompts) and out (generated)",
    ("direction",),
)
ITEMS = Family(
    "onecard_items_total",
    "counter",
    "Verdicts and entries that were told, and whether they are for a person's review",
    ("for_review",),
)

FAMILIES = (
    STREAMS, OLDEST_WAIT_S, ENDED, STREAM_S, AUDIO_LEFT_S, AUDIO_S, FACTOR, STAGE_S, STAGE_ERRORS,
    LLM_CALLS, LLM_TOKENS, ITEMS,
)  # fmt: skip

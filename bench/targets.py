"""The benchmarks there are and what each figure has to reach: the one place for both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Name of the module in bench/measures -> what it does, for `--list`. They run in this order.
BENCHMARKS = {
    "speech": "P1: speech to words, times and speakers, over gRPC, WhisperX in process",
    "whisper_speed": "P2: the chunks of a file, `whisper` over gRPC, CTranslate2 called directly",
    "align_speed": "P3: alignment by CTC of one file, `whisperx.align`, same model and text",
    "chat_speed": "P4: tokens a second and first token, `chat` over gRPC, the engine in process",
    "stages": "where a transcription's time goes, model by model, from Triton's own counters",
    "memory": "P5: memory of all server processes for files of 5, 20 and 60 minutes",
    "concurrent_clients": "P6: eight clients at once, one of them with an hour of speech",
    "speech_beside_text": "P7: a transcription beside a triage, a triage beside transcriptions",
    "start": "P8: cold start to ready, and the first request after it",
    "gateway": "P9: a recording and a chat through the gateway, the same over gRPC",
    "many_files": "P10: 40 clips by the command line, several at a time, one by one, WhisperX",
    "models": "speed and errors of each Whisper of plan cpu-models, and of fewer beams",
    "triage_quality": "category and priority of 60 labelled mails",
    "minutes_quality": "decisions and actions of 13 labelled dialogues, and their citations",
}


@dataclass(frozen=True)
class Target:
    """One line of the page.

    Attributes:
        figure: where a benchmark's result has it, keys with dots between; an `interleave.Spread`.
        limit: None for what is stated and not judged.
    """

    id: str
    benchmark: str
    figure: str
    what: str
    against: str
    direction: Literal["at least", "at most"] = "at most"
    limit: float | None = None
    unit: str = "x"

    def of(self, results: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The measured figure among the results of all benchmarks; None where it is not there."""
        found: Any = results.get(self.benchmark)
        for key in self.figure.split("."):
            if not isinstance(found, Mapping):
                return None
            found = found.get(key)
        return found if isinstance(found, Mapping) and "median" in found else None

    def is_met(self, median: float) -> bool | None:
        """None where nothing is asked of it, or where there is no number."""
        if self.limit is None or math.isnan(median):
            return None
        return median >= self.limit if self.direction == "at least" else median <= self.limit


TARGETS = (
    Target(
        "P1", "speech", "speed_ratio", "speech to words and speakers through gRPC, speed",
        "whisperx in process, same weights and threads", "at least", 1.5,
    ),
    Target(
        "P1", "speech", "wer_difference", "its word error rate", "whisperx's", "at most", 0.0,
        "",
    ),
    Target(
        "P2", "whisper_speed", "ratio", "`whisper` through Triton, all chunks of a file in flight",
        "CTranslate2 called directly, best batch", "at least", 0.97,
    ),
    Target(
        "P3", "align_speed", "speed_ratio", "alignment by CTC, speed",
        "whisperx.align, same acoustic model and text", "at least", 5.0,
    ),
    Target(
        "P3", "align_speed", "word_difference_ms", "its word times, median difference",
        "whisperx's", "at most", 20.0, "ms",
    ),
    *(
        target
        for streams in (1, 4)
        for target in (
            Target(
                "P4", "chat_speed", f"streams_{streams}.ratio",
                f"`chat` over gRPC, {streams} stream(s), tokens a second",
                "the engine called directly", "at least", 0.97,
            ),
            Target(
                "P4", "chat_speed", f"streams_{streams}.first_token_later_ms",
                f"first token of {streams} stream(s), later by", "the engine called directly",
                "at most", 10.0, "ms",
            ),
        )
    ),
    Target(
        "P5", "memory", "growth_ratio", "peak memory over idle, longest file", "its PCM bytes",
        "at most", 3.0,
    ),
    Target(
        "P5", "memory", "length_ratio", "more of it than for 5 minutes", "more PCM bytes",
        "at most", 3.0,
    ),
    Target(
        "P5", "memory", "third_run_ratio", "peak memory of the third run of the same file",
        "of the second", "at most", 1.02,
    ),
    Target(
        "P6", "concurrent_clients", "throughput_ratio",
        "8 clients and an hour of speech, audio a second", "1 client, the same clips", "at least",
        1.0,
    ),
    Target(
        "P6", "concurrent_clients", "short_p95_ratio",
        "95th percentile of clips of at most 30 s", "alone", "at most", 3.0,
    ),
    Target(
        "P7", "speech_beside_text", "speech_ratio", "30 s of speech beside a triage", "alone",
        "at most", 1.15,
    ),
    Target(
        "P7", "speech_beside_text", "triage_finished", "triages beside speech that finish", "all",
        "at least", 1.0,
    ),
    Target(
        "P8", "start", "ready_s", "`serve` to ready", "nothing", unit="s",
    ),
    Target(
        "P8", "start", "whisperx_ratio", "`serve` to the transcript of 30 s",
        "WhisperX from cold, same acoustic model",
    ),
    *(
        Target(
            "P8", "start", f"{request}.first_ratio", f"first `{request}` after ready",
            "later ones", "at most", 1.1,
        )
        for request in ("transcribe", "chat", "triage")
    ),
    Target(
        "P9", "gateway", "speech_ratio", "5 minutes of speech through the gateway",
        "the client over gRPC", "at most", 1.03,
    ),
    Target(
        "P9", "gateway", "first_token_later_ms", "first token through the gateway, later by",
        "the client over gRPC", "at most", 10.0, "ms",
    ),
    Target(
        "P10", "many_files", "jobs_ratio", "40 clips by `onecard transcribe`, speed",
        "the same with `--jobs 1`", "at least", 1.3,
    ),
    Target(
        "P10", "many_files", "whisperx_ratio", "40 clips by `onecard transcribe`, speed",
        "WhisperX, warm, file after file, same acoustic model", "at least", 2.5,
    ),
)  # fmt: skip

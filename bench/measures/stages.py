"""Where a transcription's time goes: queue and compute of every model, from Triton's counters."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench import recordings
from bench.interleave import interleaved, num_rounds, seconds, spread
from bench.serving import Serving, Times, serving, spent

CLIPS_S = (30, 300)
ROUNDS = 3
# The engine that `recognize` calls; its time is within `recognize`'s.
STAGES = ("decode_audio", "detect_speech", "recognize", "whisper", "align", "diarize", "label")


def measure() -> dict[str, Any]:
    """For each clip: seconds of the whole, and of every model (mean of the rounds)."""
    with serving() as server:
        sides = {f"{length} s": _Side(server, length) for length in CLIPS_S}
        found = interleaved(sides, num_rounds(ROUNDS))
    return {name: _summary(name, rounds) for name, rounds in found.items()}


class _Side:
    def __init__(self, server: Serving, length_s: int) -> None:
        self._server = server
        self._pcm = recordings.clip(length_s)

    def __call__(self) -> tuple[float, Times]:
        audio = recordings.wav(recordings.fresh(self._pcm))
        before = self._server.times()
        wall_s = seconds(partial(self._server.client.transcribe, audio, language="en"))
        return wall_s, spent(before, self._server.times())


def _summary(name: str, rounds: list[tuple[float, Times]]) -> dict[str, Any]:
    stages = {
        stage: {
            key: sum(times[stage][key] for _, times in rounds) / len(rounds)
            for key in ("queue_s", "compute_s")
        }
        for stage in STAGES
    }
    wall_s = spread([wall for wall, _ in rounds])
    shares = ", ".join(f"{stage} {one['compute_s']:.2f}" for stage, one in stages.items())
    print(f"  {name}: {wall_s['median']:.2f} s; compute of {shares}", flush=True)
    return {"wall_s": wall_s, "stages": stages}

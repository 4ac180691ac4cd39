"""Alignment by CTC of one file: onecard's, and `whisperx.align`, same acoustic model and text.

Both run in a process of their own, one after the other, with the same threads. The network has the
size of WhisperX's default and knows these recordings alone (`evaluation.peers.acoustic`).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import precisions
from bench.interleave import interleaved, is_quick, num_rounds, once, ratios, spread
from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from evaluation import bundled, recordings
from evaluation.peers import acoustic, environment
from evaluation.peers.whisperx import WhisperX
from evaluation.recordings import Pcm
from onecard import alignment
from onecard.alignment import Job
from onecard.alignment.ctc import Ctc
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import threads

ROUNDS = 3
PROMPTS, QUICK_PROMPTS = 10, 2

Segments = list[dict[str, Any]]
Outcome = tuple[Segments, dict[str, float]]  # sentences with words, and seconds by stage


def measure() -> dict[str, Any]:
    """The ratio of speeds, seconds in the forward and after it, and how far words lie apart."""
    with tempfile.TemporaryDirectory() as folder, WhisperX() as peer:
        path = compose(Path(folder))
        said = peer.transcribe(path, acoustic.LANGUAGE, align=False, diarize=False)
        segments = [{key: one[key] for key in ("start", "end", "text")} for one in said.segments]
        own = Own(recordings.read(path), segments)

        def theirs() -> Outcome:
            found = peer.align(path, segments, acoustic.LANGUAGE)
            return found.segments, found.seconds

        sides: dict[str, Callable[[], Outcome]] = {"whisperx": theirs, "onecard": own}
        found = interleaved(sides, num_rounds(ROUNDS))
        audio_s = sum(one["end"] - one["start"] for one in segments)
    return {**summary(found, audio_s), "precisions": precisions.of_alignment()}


def compose(folder: Path) -> Path:
    """A president, two colds and a telephone exchange."""
    clips = [recordings.jfk(), *(recordings.dictation(name) for name in bundled.DICTATIONS)]
    clips += bundled.announcements(QUICK_PROMPTS if is_quick() else PROMPTS)
    return recordings.compose(folder / "align.wav", clips).path


class Own:
    """What the model `align` does, in this process."""

    def __init__(self, pcm: Pcm, segments: Segments) -> None:
        asked = models.models(resolve("cpu"))["align"].parameters
        self._aligner = Ctc(
            str(environment.ALIGN), preload=[acoustic.LANGUAGE], max_loaded=1,
            batch_size=int(asked["ctc_batch_size"]), device=asked["ctc_device"],
            dtype=asked["ctc_dtype"], num_threads=threads.num_threads(float(asked["cpu_share"])),
        )  # fmt: skip
        self._forward_s = 0.0
        network = self._aligner._acoustic(acoustic.LANGUAGE)
        network.emissions = self._timed(network.emissions)  # type: ignore[method-assign]
        document: dict[str, Any] = {
            "language": acoustic.LANGUAGE, "language_probability": None, "task": "transcribe",
            "segments": segments, "retried": [], "dropped": [], "engine": {}, "warnings": [],
        }  # fmt: skip
        self._job = Job(pcm, document, TranscribeOptions(language=acoustic.LANGUAGE))

    def __call__(self) -> Outcome:
        self._forward_s = 0.0
        started_s = time.perf_counter()
        (found,) = alignment.align([self._job], [self._aligner])
        seconds = time.perf_counter() - started_s
        if isinstance(found, Exception):
            raise found
        return found["segments"], {"align": seconds, "forward": self._forward_s}

    def _timed(self, work: Any) -> Any:
        def run(*arguments: Any) -> Any:
            started_s = time.perf_counter()
            found = work(*arguments)
            self._forward_s += time.perf_counter() - started_s
            return found

        return run


def summary(outcomes: dict[str, list[Outcome]], audio_s: float) -> dict[str, Any]:
    """Medians, their spread, and the words of the last round compared."""
    seconds = {name: [times["align"] for _, times in rounds] for name, rounds in outcomes.items()}
    forward = {name: [times["forward"] for _, times in rounds] for name, rounds in outcomes.items()}
    rest = {
        name: [whole - part for whole, part in zip(seconds[name], forward[name], strict=True)]
        for name in outcomes
    }
    ratio = spread(ratios(seconds["whisperx"], seconds["onecard"]))
    rest_ratio = spread(ratios(rest["whisperx"], rest["onecard"]))
    ours, theirs = (starts(outcomes[name][-1][0]) for name in ("onecard", "whisperx"))
    apart_ms = differences_ms(ours, theirs)
    for name in outcomes:
        print(
            f"  {name}: {audio_s:.0f} s of speech in {statistics.median(seconds[name]):.2f} s, of "
            f"which forward {statistics.median(forward[name]):.2f} and the path and what follows "
            f"{statistics.median(rest[name]):.2f}",
            flush=True,
        )
    print(
        f"  {ratio['median']:.2f} times as fast ({ratio['low']:.2f} to {ratio['high']:.2f}), after "
        f"the forward {rest_ratio['median']:.1f} times; {len(apart_ms)} words, starts "
        f"{statistics.median(apart_ms):.1f} ms apart in the median, {max(apart_ms):.1f} at most",
        flush=True,
    )
    return {
        "speed_ratio": ratio,
        "after_forward_ratio": rest_ratio,
        "word_difference_ms": once(statistics.median(apart_ms)),
        "word_difference_max_ms": once(max(apart_ms)),
        "words": len(apart_ms),
        "audio_s": audio_s,
        "seconds": {name: spread(seconds[name]) for name in outcomes},
        "forward_s": {name: spread(forward[name]) for name in outcomes},
    }


def starts(segments: Segments) -> list[tuple[str, float]]:
    """The words that have a start, with it."""
    return [
        (word["word"].strip(), word["start"])
        for segment in segments
        for word in segment["words"]
        if word.get("start") is not None
    ]


def differences_ms(
    ours: Sequence[tuple[str, float]], theirs: Sequence[tuple[str, float]]
) -> list[float]:
    """Of every word's start. Raises ValueError where the words are not the same."""
    if [word for word, _ in ours] != [word for word, _ in theirs]:
        raise ValueError(f"onecard timed {len(ours)} words, WhisperX {len(theirs)}, not the same")
    return [1000 * abs(mine - other) for (_, mine), (_, other) in zip(ours, theirs, strict=True)]

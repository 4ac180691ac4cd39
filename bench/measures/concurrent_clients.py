"""Eight clients at once, one of them with an hour of speech, against one client.

The hour is under way all the time and cancelled at the end. What counts is what becomes of the
others: how much audio the machine gets through, and how long a short clip takes beside them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import queue
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import recordings
from bench.interleave import is_quick, once
from bench.serving import Serving, Times, serving, spent
from onecard_client import Client, DeadlineExceeded, Progress

# As many of each, so that most of what runs at a time is long. Seven clients that each send one
# short clip after the other would wait for each other, whatever the order: seven times what one
# takes, over how much sooner the machine does several at once (Little's law).
LENGTHS_S = (10, 20, 30, 60, 120, 180, 300) * 3
QUICK_LENGTHS_S = (10, 20, 30, 60, 120, 180, 300)
SHORT_S = 30
NUM_CLIENTS = 8  # the one with the hour among them
LIMIT_S, QUICK_LIMIT_S = 300.0, 150.0  # of the leg with all clients, should clips starve in it
LONG_S = 3600
PERCENTILE = 95
SEED = 5  # of the order in which clips come


@dataclass(frozen=True)
class Clip:
    length_s: int
    audio: bytes


@dataclass(frozen=True)
class Done:
    """A clip that was answered after `took_s`, or given up."""

    length_s: int
    took_s: float
    is_answered: bool


@dataclass(frozen=True)
class Leg:
    """One way of doing all clips, the time for all of them, and what Triton counted."""

    clips: Sequence[Done]
    elapsed_s: float
    times: Times

    @property
    def audio_s(self) -> int:
        """Of clips that were answered."""
        return sum(clip.length_s for clip in self.clips if clip.is_answered)

    @property
    def num_given_up(self) -> int:
        return sum(not clip.is_answered for clip in self.clips)

    @property
    def short_s(self) -> list[float]:
        """Seconds of each short clip: for one that was given up, at least these."""
        return [clip.took_s for clip in self.clips if clip.length_s <= SHORT_S]


def measure() -> dict[str, Any]:
    """Audio seconds a second, and the 95th percentile of short clips, of one and of all clients."""
    clips = _clips(QUICK_LENGTHS_S if is_quick() else LENGTHS_S)
    hour = recordings.wav(recordings.clip(LONG_S))
    with serving() as server:
        server.client.transcribe(recordings.conversation(), language="en")
        alone = _leg(server, clips, 1)
        with Long(server, hour) as long:
            limit_s = QUICK_LIMIT_S if is_quick() else LIMIT_S
            concurrent = _leg(server, clips, NUM_CLIENTS - 1, limit_s)
            done = dict(long.done)
        if long.error is not None:
            raise long.error
    return _summary(alone, concurrent, done)


def _clips(lengths: Sequence[int]) -> list[Clip]:
    """Of different speech each, in an order that is the same in every run."""
    starts = np.cumsum((0, *lengths[:-1]))
    clips = [
        Clip(length, recordings.wav(recordings.clip(length, float(start))))
        for length, start in zip(lengths, starts, strict=True)
    ]
    random.Random(SEED).shuffle(clips)
    return clips


def _leg(
    server: Serving, clips: Sequence[Clip], num_clients: int, limit_s: float = math.inf
) -> Leg:
    """All clips, each by whichever client is free; what is not answered by then is given up."""
    waiting: queue.SimpleQueue[Clip] = queue.SimpleQueue()
    for clip in clips:
        waiting.put(clip)
    before = server.times()
    started_s = time.monotonic()
    with ThreadPoolExecutor(num_clients) as pool:
        workers = [
            pool.submit(_work, server.grpc_url, waiting, started_s + limit_s)
            for _ in range(num_clients)
        ]
        try:
            done = [clip for worker in workers for clip in worker.result()]
        except BaseException:  # Ctrl-C too: the pool waits for what is under way, not for the rest
            _empty(waiting)
            raise
    return Leg(done, time.monotonic() - started_s, spent(before, server.times()))


def _work(url: str, waiting: queue.SimpleQueue[Clip], deadline_s: float) -> list[Done]:
    """What one client did."""
    done: list[Done] = []
    with Client(url, max_retries=0) as client, contextlib.suppress(queue.Empty):
        while (started_s := time.monotonic()) < deadline_s:
            clip = waiting.get_nowait()
            left_s = None if math.isinf(deadline_s) else deadline_s - started_s
            is_answered = True
            try:
                client.transcribe(clip.audio, language="en", timeout_s=left_s)
            except DeadlineExceeded:
                is_answered = False
            done.append(Done(clip.length_s, time.monotonic() - started_s, is_answered))
    return done


def _empty(waiting: queue.SimpleQueue[Clip]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            waiting.get_nowait()


class Finished(dict[str, float]):
    """Stage of a transcription -> the share of it that is finished, from its progress events."""

    def advance(self, event: Progress) -> None:
        for earlier in self:
            self[earlier] = 1.0  # a stage that is followed by another is finished
        self[event.stage] = event.done / event.total if event.total else 1.0


class Long:
    """A client whose file outlasts the block; leaving the block cancels it."""

    def __init__(self, server: Serving, audio: bytes) -> None:
        self.done = Finished()
        self.error: Exception | None = None
        self._client = Client(server.grpc_url, max_retries=0)
        self._audio = audio
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Long:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._client.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            for event in self._client.transcribe_stream(self._audio, language="en"):
                if isinstance(event, Progress):
                    self.done.advance(event)
        except Exception as error:
            if not self._is_over.is_set():  # else it is how a closed connection ends a call
                self.error = error


def _summary(alone: Leg, concurrent: Leg, done: dict[str, float]) -> dict[str, Any]:
    credit = _credit(alone.times, done)
    speed_alone = alone.audio_s / alone.elapsed_s
    speed_clips = concurrent.audio_s / concurrent.elapsed_s
    speed = speed_clips + credit * LONG_S / concurrent.elapsed_s
    p95 = [float(np.percentile(leg.short_s, PERCENTILE)) for leg in (alone, concurrent)]
    print(
        f"  {len(alone.clips)} clips alone {alone.elapsed_s:.0f} s ({speed_alone:.1f} s of audio a "
        f"second), with {NUM_CLIENTS} clients {concurrent.elapsed_s:.0f} s: {speed:.1f}, of which "
        f"the hour has {speed - speed_clips:.1f} ({done}); {len(concurrent.short_s)} clips of at "
        f"most {SHORT_S} s, {PERCENTILE}th percentile: {p95[0]:.2f} s alone, {p95[1]:.2f} s with "
        f"all, median {np.median(alone.short_s):.2f} and {np.median(concurrent.short_s):.2f}; "
        f"{concurrent.num_given_up} clips given up",
        flush=True,
    )
    return {
        "throughput_ratio": once(speed / speed_alone),
        "short_p95_ratio": once(p95[1] / p95[0]),
        "alone": _as_json(alone),
        "concurrent": _as_json(concurrent),
        "hour": {"done": done, "share_of_its_work": credit},
    }


def _credit(times: Times, done: dict[str, float]) -> float:
    """The share of the hour's work that is known to be done: never more than was done.

    What a stage weighs is told by the counters of the leg with one client. Diarization is counted
    where it ended, for it does not say how far it is.
    """
    weights = {
        "detect_speech": times["detect_speech"]["compute_s"],
        "recognize": times["recognize"]["compute_s"] + times["align"]["compute_s"],
        "diarize": times["diarize"]["compute_s"],
    }
    finished = sum(weight * done.get(stage, 0.0) for stage, weight in weights.items())
    return finished / sum(weights.values())


def _as_json(leg: Leg) -> dict[str, Any]:
    return {
        "seconds": leg.elapsed_s,
        "audio_s": leg.audio_s,
        "clips": [dataclasses.asdict(clip) for clip in leg.clips],
        "given_up": leg.num_given_up,
        "triton": leg.times,
    }

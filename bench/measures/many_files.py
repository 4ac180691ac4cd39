"""Forty clips of mixed length by `onecard transcribe`: one at a time, several at a time, WhisperX.

Both of onecard's sides are the command, from its start to its end, on a folder and one server.
WhisperX gets the same files one after another, as its command line takes them, with all its models
loaded before the clock runs; a server with the same acoustic model serves all sides.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import recordings
from bench.interleave import interleaved, is_quick, num_rounds, ratios, seconds, spread
from bench.serving import Serving, serving
from build_scripts import paths
from evaluation.peers import ctc_repository, environment
from evaluation.peers.whisperx import WhisperX
from onecard.audio import SAMPLE_RATE, Pcm

LENGTHS_S = (5, 8, 12, 20, 30, 30, 45, 60) * 5
QUICK_LENGTHS_S = (5, 8, 12)
ROUNDS = 2
SEED = 9  # of the order in which files lie in the folder
NO_PEER = f"WhisperX is not there: {environment.CURE}"


@dataclass(frozen=True)
class Clips:
    """Speech of several lengths, different in each clip, in an order that is always the same."""

    pcm: Sequence[Pcm]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Clips:
        starts = np.cumsum((0, *lengths[:-1]))
        clips = [
            recordings.clip(length, float(start))
            for length, start in zip(lengths, starts, strict=True)
        ]
        random.Random(SEED).shuffle(clips)
        return cls(clips)

    @property
    def audio_s(self) -> float:
        return sum(map(len, self.pcm)) / SAMPLE_RATE

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder with a file for each; the samples have other noise every time."""
        with tempfile.TemporaryDirectory() as folder:
            for number, pcm in enumerate(self.pcm):
                path = Path(folder) / f"clip-{number:02d}.wav"
                path.write_bytes(recordings.wav(recordings.fresh(pcm)))
            yield Path(folder)


def measure() -> dict[str, Any]:
    """Seconds for all clips by each side, and the ratios, round by round."""
    clips = Clips.of(QUICK_LENGTHS_S if is_quick() else LENGTHS_S)
    with contextlib.ExitStack() as stack:
        peer = None
        if environment.is_there():
            peer = stack.enter_context(WhisperX())
            stack.enter_context(ctc_repository.chosen())
        server = stack.enter_context(serving())
        capacity = server.client.capacity()
        sides: dict[str, Callable[[], float]] = {
            "one_by_one": partial(_command, server, clips, "--jobs", "1"),
            "jobs": partial(_command, server, clips),
        }
        if peer is not None:
            sides["whisperx"] = partial(_peer, peer, clips)
        _warm_up(server, peer)
        found = interleaved(sides, num_rounds(ROUNDS), warmups=0)
    return summary(found, clips.audio_s, len(clips.pcm), capacity)


def _warm_up(server: Serving, peer: WhisperX | None) -> None:
    clips = Clips.of((20,))
    _command(server, clips)
    if peer is not None:
        _peer(peer, clips)


def _command(server: Serving, clips: Clips, *arguments: str) -> float:
    """The seconds of a command. Raises RuntimeError where a file failed."""
    with clips.folder() as folder, tempfile.TemporaryDirectory() as results:
        line = [
            sys.executable, "-m", "onecard_client", "transcribe", str(folder), "-o", results,
            "--url", server.grpc_url, "--language", "en", "--log-json", *arguments,
        ]  # fmt: skip
        client = os.pathsep.join([str(paths.ROOT / "client"), *filter(None, sys.path)])
        elapsed_s = seconds(lambda: _run(line, {**os.environ, "PYTHONPATH": client}, clips))
    side = " ".join(arguments) or "as many at a time as the server holds"
    print(f"  {side}: {clips.audio_s:.0f} s of audio in {elapsed_s:.1f} s", flush=True)
    return elapsed_s


def _run(line: Sequence[str], variables: Mapping[str, str], clips: Clips) -> None:
    ran = subprocess.run(line, env=variables, capture_output=True, text=True, check=False)
    done = [one for one in map(json.loads, ran.stdout.splitlines()) if one["status"] == "done"]
    if ran.returncode or len(done) != len(clips.pcm):
        raise RuntimeError(f"{len(done)} of {len(clips.pcm)} clips are done: {ran.stderr[-2000:]}")


def _peer(peer: WhisperX, clips: Clips) -> float:
    """The seconds of WhisperX, file after file, with its models loaded."""
    with clips.folder() as folder:
        files = sorted(folder.iterdir())
        elapsed_s = seconds(lambda: [peer.transcribe(file, language="en") for file in files])
    print(f"  WhisperX: {clips.audio_s:.0f} s of audio in {elapsed_s:.1f} s", flush=True)
    return elapsed_s


def summary(
    seconds: Mapping[str, Sequence[float]], audio_s: float, num_clips: int, capacity: int
) -> dict[str, Any]:
    """The ratios of speeds, round by round."""
    one_by_one, jobs = seconds["one_by_one"], seconds["jobs"]
    results: dict[str, Any] = {
        "clips": num_clips,
        "audio_s": audio_s,
        "jobs": capacity,
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "jobs_ratio": spread(ratios(one_by_one, jobs)),
    }
    print(
        f"  {capacity} at a time are {results['jobs_ratio']['median']:.2f} times as fast as one "
        "after another",
        flush=True,
    )
    if "whisperx" not in seconds:
        print(f"  {NO_PEER}: nothing to compare with", flush=True)
        return {**results, "skipped": {"whisperx_ratio": NO_PEER}}
    results["whisperx_ratio"] = spread(ratios(seconds["whisperx"], jobs))
    print(f"  and {results['whisperx_ratio']['median']:.2f} times as fast as WhisperX", flush=True)
    return results

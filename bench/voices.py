"""Dialogues spoken by espeak-ng, a voice for each person, with the times of every line."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.dialogues import PAUSE_S, Dialogue
from evaluation import recordings
from onecard.audio import Pcm

PROGRAM = "espeak-ng"
VOICES = ("en-gb+m3", "en-us+f3", "en-gb-scotland+m7", "en-us+f5")  # by order of first words
WORDS_PER_MINUTE = "150"
ABSENT = f"`{PROGRAM}` is not installed, so that nothing was spoken: `apt-get install {PROGRAM}`"


@dataclass(frozen=True)
class Spoken:
    """A dialogue as a recording.

    Attributes:
        times: from when to when each line is spoken, in seconds.
    """

    wav: bytes
    times: Sequence[tuple[float, float]]

    def lines_of(self, start: float, end: float) -> frozenset[int]:
        """The lines of which a segment has half, or which have half of the segment."""
        found = set()
        for number, (first, last) in enumerate(self.times):
            common = min(end, last) - max(start, first)
            if common > 0 and 2 * common >= min(end - start, last - first):
                found.add(number)
        return frozenset(found)


def is_there() -> bool:
    return shutil.which(PROGRAM) is not None


def spoken(dialogue: Dialogue) -> Spoken:
    """The dialogue, line after line. Raises CalledProcessError where a line cannot be spoken."""
    people = list(dict.fromkeys(speaker for speaker, _ in dialogue.lines))
    pause = np.zeros(int(PAUSE_S * recordings.RATE), np.int16)
    parts: list[Pcm] = []
    times, num_samples = [], 0
    for speaker, text in dialogue.lines:
        pcm = _line(VOICES[people.index(speaker) % len(VOICES)], text)
        start, num_samples = num_samples, num_samples + len(pcm)
        times.append((start / recordings.RATE, num_samples / recordings.RATE))
        num_samples += len(pause)
        parts += [pcm, pause]
    return Spoken(recordings.wav(np.concatenate(parts)), times)


def _line(voice: str, text: str) -> Pcm:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        command = [PROGRAM, "-v", voice, "-s", WORDS_PER_MINUTE, "-w", str(path), "--", text]
        subprocess.run(command, check=True, capture_output=True)
        return recordings.read(path)

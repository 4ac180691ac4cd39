"""The recordings of `make samples` as entries: what is evaluated where no manifest is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from build_scripts.bootstrap import samples
from build_scripts.errors import InstallError
from evaluation import manifest, recordings, rttm
from evaluation.manifest import Entry, Stretch
from evaluation.metrics import Turn
from evaluation.recordings import GAP_S, RATE, Clip, Pcm

DICTATIONS = ("cold_corpus", "cold_corpus3")
LANGUAGES = ("fr", "es", "it", "ru")  # besides English
PROMPTS = 6
ANNOUNCEMENTS = 50  # what the benchmarks' acoustic model is fitted to, and so all that they play
# Who is heard: one voice reads all prompts of a language, one man has both colds.
JFK, ANNOUNCER, DICTATOR = "jfk", "announcer", "dictator"


@dataclass(frozen=True)
class Part:
    """A recording and who says what when in it."""

    pcm: Pcm
    stretches: tuple[Stretch, ...]


def entries(folder: Path) -> list[Entry]:
    """Every bundled recording with a reference; what has to be composed is written to `folder`.

    Languages whose recordings cannot be had on this machine are left out.
    """
    parts = [spoken(recordings.jfk(), JFK)]
    parts += [spoken(recordings.dictation(name), DICTATOR) for name in DICTATIONS]
    parts += [spoken(clip, ANNOUNCER) for clip in recordings.prompts("en", PROMPTS)]
    found = [compose("english", folder, parts, "en")]
    for name in DICTATIONS:
        clip = recordings.dictation(name)
        words = tuple(recordings.reference_words(name))
        found.append(Entry(name, clip.path, clip.language, (clip.text,), words))
    for language in LANGUAGES:
        try:
            clips = recordings.prompts(language, PROMPTS)
        except InstallError:
            continue
        entry = compose(language, folder, [spoken(clip, ANNOUNCER) for clip in clips], language)
        # One voice says nothing of telling voices apart.
        found.append(replace(entry, turns=None, speakers=None))
    return found + conversations()


def announcements(num_clips: int) -> list[Clip]:
    """English prompts, from all over the list; all of them are among `ANNOUNCEMENTS`."""
    clips = recordings.prompts("en", ANNOUNCEMENTS)
    return clips[:: len(clips) // num_clips][:num_clips]


def conversations() -> list[Entry]:
    """A telephone talk and nine meetings, of which it is known who speaks when, not what."""
    talk = samples.folder("conversation") / "sample.wav"
    paths = [talk, *sorted(samples.folder("meetings").glob("trn*.wav"))]
    return [Entry(path.stem, path, "en", turns=turns(path)) for path in paths]


def turns(path: Path) -> tuple[Turn, ...]:
    """Who speaks when in one of them."""
    beside = path.with_suffix(".rttm")
    source = beside if beside.is_file() else path.parent / "debug.train.rttm"
    return rttm.read(source)[path.stem]


def spoken(clip: Clip, speaker: str) -> Part:
    """A clip that one speaker fills."""
    pcm = clip.samples
    return Part(pcm, (Stretch(0.0, len(pcm) / RATE, speaker, clip.text),))


def talked(path: Path) -> Part:
    """A conversation of which no words are known."""
    stretches = [Stretch(one.start_s, one.end_s, one.speaker, None) for one in turns(path)]
    return Part(recordings.read(path), tuple(sorted(stretches, key=lambda one: one.start_s)))


def compose(id: str, folder: Path, parts: Sequence[Part], language: str) -> Entry:
    """The parts one after another with silence between them, as `folder`/`id`.wav."""
    silence = np.zeros(round(GAP_S * RATE), np.int16)
    pieces: list[Pcm] = []
    stretches: list[Stretch] = []
    start = 0
    for part in parts:
        at_s = start / RATE
        stretches += [
            replace(one, start_s=one.start_s + at_s, end_s=one.end_s + at_s)
            for one in part.stretches
        ]
        pieces += [part.pcm, silence]
        start += len(part.pcm) + len(silence)
    audio = recordings.write(folder / f"{id}.wav", np.concatenate(pieces))
    return manifest.of_stretches(id, audio, language, stretches)

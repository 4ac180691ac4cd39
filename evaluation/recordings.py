"""Bundled recordings with references, and clips composed of several with silence between."""

from __future__ import annotations

import io
import re
import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from build_scripts.bootstrap import samples
from evaluation import textgrid
from evaluation.textgrid import WordTime

RATE = 16_000
Pcm = npt.NDArray[np.int16]
GAP_S = 0.8
JFK = (
    "And so my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)
# A prompt whose script is what was said: prose without digits, long enough to be hard to guess.
MIN_WORDS, MAX_WORDS = 9, 40


@dataclass(frozen=True)
class Clip:
    """A recording and what is said in it."""

    path: Path
    text: str
    language: str

    @property
    def samples(self) -> Pcm:
        return read(self.path)


def read(path: Path) -> Pcm:
    """[N] int16 mono at 16 kHz; raw G.722 is told by its suffix, as its bytes do not tell."""
    raw = path.suffix == ".g722"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    parts = []
    with av.open(str(path), format="g722" if raw else None) as container:
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts)


def wav(pcm: Pcm) -> bytes:
    """A WAV file of 16 kHz mono samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.astype("<i2").tobytes())
    return file.getvalue()


def write(path: Path, pcm: Pcm) -> Path:
    path.write_bytes(wav(pcm))
    return path


def compose(path: Path, clips: list[Clip]) -> Clip:
    """The clips one after another, silence between them; the text is theirs."""
    silence = np.zeros(int(GAP_S * RATE), np.int16)
    pcm = np.concatenate([part for clip in clips for part in (clip.samples, silence)])
    return Clip(write(path, pcm), " ".join(clip.text for clip in clips), clips[0].language)


def dictation(name: str, language: str = "en") -> Clip:
    """A recording of the Montreal Forced Aligner's test data and its transcript."""
    folder = samples.folder("dictation")
    (path,) = (p for p in folder.glob(f"{name}.*") if p.suffix in {".wav", ".opus", ".mp3"})
    text = (folder / f"{name}.lab").read_text()
    return Clip(path, re.sub(r"<[^>]*>|[\[\]]", " ", text), language)


def jfk() -> Clip:
    return Clip(samples.folder("jfk") / "jfk.wav", JFK, "en")


def prompts(language: str, num_prompts: int) -> list[Clip]:
    """Announcements of a telephone exchange, read by one voice.

    They are taken from all over the list, because neighbours say nearly the same.
    """
    folder = samples.folder(f"prompts-{language}")
    found: dict[str, Clip] = {}
    for line in (folder / "prompts.txt").read_text().splitlines():
        key, _, text = line.partition(": ")
        recording = folder / f"{key}.g722"
        if not MIN_WORDS <= len(text.split()) <= MAX_WORDS or re.search(r"\d", text):
            continue
        if recording.is_file() and text not in found:
            found[text] = Clip(recording, text, language)
    return list(found.values())[:: len(found) // num_prompts][:num_prompts]


def reference_words(name: str) -> list[WordTime]:
    """Words of a dictation with the times of the Montreal Forced Aligner."""
    return textgrid.read(samples.folder("dictation") / f"{name}.TextGrid")

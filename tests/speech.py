"""Recordings with references: single clips, and clips composed of several with silence between.

It knows where setup put them and what was said in them; it knows nothing of the server.
"""

from __future__ import annotations

import re
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from transformers.models.whisper.english_normalizer import (
    BasicTextNormalizer,
    EnglishTextNormalizer,
)

from build_scripts import samples

RATE = 16_000
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
    def samples(self) -> np.ndarray:
        return read(self.path)


def read(path: Path) -> np.ndarray:
    """[N] int16 mono at 16 kHz; raw G.722 is told by its suffix, as its bytes do not tell."""
    raw = path.suffix == ".g722"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    parts = []
    with av.open(str(path), format="g722" if raw else None) as container:
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts)


def write(path: Path, pcm: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.astype("<i2").tobytes())
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


@lru_cache
def _normalizer(language: str) -> EnglishTextNormalizer | BasicTextNormalizer:
    if language == "en":
        return EnglishTextNormalizer({})
    return BasicTextNormalizer()


def normalize(text: str, language: str) -> str:
    """As the field does before it counts word errors: OpenAI's normalizers.

    They leave `alright` apart from `all right`, and an ellipsis as a word of its own.
    """
    words = str(_normalizer(language)(text.replace("...", " "))).split()
    return " ".join("all right" if word == "alright" else word for word in words)


def word_errors(reference: str, hypothesis: str, language: str = "en") -> float:
    """Word error rate of normalized texts."""
    import jiwer

    return float(jiwer.wer(normalize(reference, language), normalize(hypothesis, language)))


@dataclass(frozen=True)
class WordTime:
    text: str
    start_s: float


def reference_words(name: str) -> list[WordTime]:
    """Words with times from a TextGrid of the Montreal Forced Aligner (Praat's short format)."""
    lines = (samples.folder("dictation") / f"{name}.TextGrid").read_text().splitlines()
    words = lines.index('"words"')
    count = int(lines[words + 3])
    cells = lines[words + 4 : words + 4 + 3 * count]
    intervals = zip(cells[0::3], cells[1::3], cells[2::3], strict=True)
    return [WordTime(text.strip('"'), float(start)) for start, _, text in intervals if text != '""']

"""What Whisper base said of the dictation clips (beam 5, WhisperX's chunks), as test input.

Recorded, so that alignment is judged on the text and bounds of a recognizer, without running one.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from evaluation import recordings
from onecard.alignment import text
from onecard.alignment.units import Utterance
from onecard.audio import SAMPLE_RATE

SEGMENTS: dict[str, tuple[str, float, float, str]] = {
    "cold_corpus": (
        "en",
        0.031,
        25.293,
        " So this is the sick corpus. I have a cold so I probably sound quite different than the "
        "acoustic corpus. The reporting environment is also quite different, and I'm saying a "
        "bunch of different words that I did not say in the original one. And here's the long "
        "pause, and I think this is probably good. Alright, thanks.",
    ),
    "cold_corpus3": (
        "en",
        0.841,
        23.47,
        " All right, so this is the sick corpus. Hopefully the recording levels are okay. I have a "
        "cold, so this probably sounds a lot different than the acoustic corpus, and I'm also "
        "saying a bunch of different words. I think I'm probably gonna cough here. Yeah, so that "
        "just happened, and that should be good. All right, thanks.",
    ),
    "common_voice_ja_24511055": (
        "ja",
        0.537,
        5.65,
        "マッピルマナのぎ、キャンプの外れの伝注に、電球が止まっていた。",
    ),
    "13697_11991_000000": (
        "es",
        0.368,
        14.695,
        " La sorpresa y el disgusto que produjo a Wendworth la substitución de una coñada por "
        "otra, el gesto que se difujó en suficionomía, el asombro que manifestó y las palabras, "
        "aduras penas reprimidas que asomaron a sus labios mientras le hablaba Carlos",
    ),
}


def pcm(name: str) -> np.ndarray:
    return recordings.dictation(name, SEGMENTS[name][0]).samples


def document(name: str, **changes: Any) -> dict[str, Any]:
    """The SEGMENTS document of a clip; `changes` go into its only segment."""
    language, start_s, end_s, written = SEGMENTS[name]
    segment = {
        "start": start_s, "end": end_s, "text": written, "avg_logprob": -0.2,
        "compression_ratio": 1.5, "no_speech_prob": None, "temperature": 0.0,
    }  # fmt: skip
    return {
        "language": language,
        "language_probability": None,
        "task": "transcribe",
        "segments": [{**segment, **changes}],
        "retried": [],
        "dropped": [],
        "engine": {},
        "warnings": [],
    }


def utterance(name: str, written: str | None = None) -> Utterance:
    language, start_s, end_s, said = SEGMENTS[name]
    written = said if written is None else written
    samples = pcm(name)[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]
    words = text.split_words(written, language)
    return Utterance(samples, start_s, end_s, written, language, words)


def start_errors_s(name: str, words: list[dict[str, Any]]) -> np.ndarray:
    """Absolute differences of word starts to the forced alignment of the true text."""
    reference = recordings.reference_words(name)
    found = [_plain(word["word"]) for word in words]
    matcher = difflib.SequenceMatcher(
        None, [_plain(word.text) for word in reference], found, autojunk=False
    )
    return np.abs(
        [
            reference[match.a + n].start_s - words[match.b + n]["start"]
            for match in matcher.get_matching_blocks()
            for n in range(match.size)
        ]
    )


def _plain(word: str) -> str:
    return "".join(char for char in word.lower() if char.isalpha() or char == "'")

"""A meeting that never was: a recording of tones, and the RESULT that a fake server has for it."""

from __future__ import annotations

import array
import io
import math
import wave
from typing import Any

RATE = 8000
DURATION_S = 30.0
# (speaker, start, end, text, score): what somebody would like to be HTML is in it as well.
LINES = (
    (0, 0.4, 4.2, "Good morning, and thank you for coming on such short notice.", 0.92),
    (1, 4.6, 8.8, "Morning. I would like to begin with the budget for the spring.", 0.88),
    (0, 9.1, 13.4, "Fine. Is <b>forty thousand</b> still what we asked the board for?", 0.81),
    (1, 13.6, 17.0, "It is, and the board wants an answer by Friday.", 0.31),
    (1, 17.2, 21.5, "<img src=x onerror=\"document.title='taken'\"> is what the form says.", 0.64),
    (0, 23.8, 28.9, "Then we agree: Ada writes to the board, and the budget stays as it is.", 0.95),
)


def speaker(number: int) -> str:
    return f"SPEAKER_{number:02}"


def _segment(number: int, start: float, end: float, text: str, score: float) -> dict[str, Any]:
    words = text.split()
    step = (end - start) / len(words)
    timed = [
        {
            "word": word,
            "start": round(start + step * index, 3),
            "end": round(start + step * (index + 1), 3),
            "score": round(max(0.05, score - 0.04 * (index % 4)), 3),
            "speaker": speaker(number),
        }
        for index, word in enumerate(words)
    ]
    return {
        "start": start,
        "end": end,
        "text": f" {text}",
        "speaker": speaker(number),
        "words": timed,
        "aligner": "ctc",
    }


SEGMENTS = [_segment(*line) for line in LINES]
_SPEECH_S = round(sum(end - start for _, start, end, *_ in LINES) + 1.6, 3)
MEETING: dict[str, Any] = {
    "version": "1",
    "segments": SEGMENTS,
    "word_segments": [word for segment in SEGMENTS for word in segment["words"]],
    "speakers": [speaker(0), speaker(1)],
    "language": "en",
    "language_probability": 0.99,
    "duration_s": DURATION_S,
    "clip": {
        "duration_s": DURATION_S,
        "sample_rate": RATE,
        "channels": 1,
        "container": "wav",
        "codec": "pcm_s16le",
    },
    "turns": [
        {"start": start, "end": end, "speaker": speaker(number)} for number, start, end, *_ in LINES
    ],
    "account": {
        "duration_s": DURATION_S,
        "speech_s": _SPEECH_S,
        "silence_s": round(DURATION_S - _SPEECH_S, 3),
        "transcribed_s": round(_SPEECH_S - 1.6, 3),
        "dropped_s": 1.6,
        "aligned_s": round(_SPEECH_S - 1.6, 3),
        "num_chunks": 2,
        "num_words": sum(len(segment["words"]) for segment in SEGMENTS),
        "num_words_interpolated": 1,
        "num_words_untimed": 0,
        "missing_s": 0.0,
        "gaps": [],
        "retried": [],
        "dropped": [{"start": 21.9, "end": 23.5, "reason": "the model repeats itself"}],
    },
    "engine": {"recognize": {"model": "none, this is a fake"}},
    "options": {},
    "warnings": [],
}


def progress(stage: str, done: int, total: int) -> dict[str, Any]:
    return {"event": "progress", "stage": stage, "done": done, "total": total}


BEGUN = (
    progress("decode_audio", 0, 1),
    progress("detect_speech", 0, 1),
    progress("recognize", 0, 2),
    {"event": "segments", "segments": SEGMENTS[:3]},
    progress("recognize", 1, 2),
    progress("diarize", 1, 3),
)
REST = (
    {"event": "segments", "segments": SEGMENTS[3:]},
    progress("recognize", 2, 2),
    progress("diarize", 3, 3),
    {"event": "result", "result": MEETING},
)


def recording() -> bytes:
    """WAV of as many seconds, a soft tone."""
    tone = [int(900 * math.sin(index * 0.17)) for index in range(RATE)]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(array.array("h", tone).tobytes() * int(DURATION_S))
    return out.getvalue()

"""What a soak sends: speech of every length, conversations, mails, minutes, and what is wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import dialogues, mails, recordings
from onecard_client import Email

CLIPS_S = (3.0, 6.0, 11.0, 20.0, 30.0)
FROM_S = 320.0  # of all speech: dictation, of which every clip has words to compare
PROMPTS = (
    "Say in one sentence what a railway is.",
    "Name three colours.",
    "What is the capital of France?",
    "Write a short line about rain.",
)
MAX_TOKENS = 24
NUM_MAILS = 3
MAIL_LETTERS = 300  # of each body: what is asked is whether it is answered, not how well
NUM_LINES = 8  # of a dialogue
MIN_LONG_S, MAX_LONG_S = 60.0, 3600.0
SHARE_OF_RUN = 0.1  # of the soak's length that the audio of a long file lasts


@dataclass(frozen=True)
class Material:
    """Everything that is sent.

    Attributes:
        clips: names and files of short speech.
        long: a file that is sent in parts.
        mails: batches of them.
        dialogues: documents for minutes.
    """

    clips: Mapping[str, bytes]
    long: bytes
    mails: Sequence[Sequence[Email]]
    dialogues: Sequence[Mapping[str, Any]]


def material(minutes: float) -> Material:
    """The material of a soak that lasts so long.

    Raises InstallError where recordings are missing.
    """
    starts = [FROM_S + sum(CLIPS_S[:number]) for number in range(len(CLIPS_S))]
    long_s = max(MIN_LONG_S, min(MAX_LONG_S, 60.0 * minutes * SHARE_OF_RUN))
    found = [
        Email(one.email.id, one.email.subject, one.email.body[:MAIL_LETTERS], one.email.sender)
        for one in mails.labelled()
    ]
    return Material(
        clips={
            f"clip of {length_s:.0f} s": recordings.wav(recordings.clip(length_s, start_s))
            for length_s, start_s in zip(CLIPS_S, starts, strict=True)
        },
        long=recordings.wav(recordings.clip(long_s, 100.0)),
        mails=[found[at : at + NUM_MAILS] for at in range(0, 4 * NUM_MAILS, NUM_MAILS)],
        dialogues=[_beginning(one.transcript()) for one in dialogues.labelled()[:3]],
    )


def _beginning(document: Mapping[str, Any]) -> dict[str, Any]:
    segments = document["segments"][:NUM_LINES]
    return {**document, "segments": segments, "duration_s": segments[-1]["end"]}


# What is refused, by which call, with which content and options.
BAD: tuple[tuple[str, Any, Mapping[str, Any]], ...] = (
    ("transcribe", b"", {}),
    ("transcribe", b"this is a letter, not a recording" * 40, {}),
    ("transcribe", bytes(range(256)) * 64, {}),
    ("transcribe", b"RIFF\xff\xff\xff\x7fWAVEfmt \x00\x00\x00\x00", {}),
    ("clip", None, {"beam_size": 99}),
    ("clip", None, {"language": "yue"}),
    ("clip", None, {"nobody_knows_this": True}),
    ("chat", "Hello", {"max_tokens": -1}),
    ("chat", "Hello", {"temperature": 9e9}),
    ("chat", [{"role": "nobody", "content": "x"}], {}),
    ("chat", "word " * 60_000, {}),
    ("triage", [], {"priorities": []}),
    ("triage", [{"id": "a", "subject": "s"}], {"nobody_knows_this": 1}),
    ("minutes", {"segments": [{"start": "never"}]}, {}),
)


def damaged(audio: bytes, rng: random.Random) -> bytes:
    """A recording cut off somewhere after its header."""
    return audio[: rng.randrange(len(audio) // 4, len(audio))]

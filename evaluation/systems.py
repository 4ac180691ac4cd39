"""What is evaluated: a running onecard server, or a peer; either gives the same `Hypothesis`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.metrics import Turn
from onecard_client import Client, Transcript

if TYPE_CHECKING:
    from evaluation.peers.whisperx import Answer


@dataclass(frozen=True)
class Word:
    """A word of a hypothesis, with what is known of it."""

    text: str
    start_s: float | None = None
    speaker: str | None = None


@dataclass(frozen=True)
class Hypothesis:
    """What a system made of a recording, and how long it took.

    Attributes:
        seconds: from the call to the answer.
        stages: seconds by stage, where the system says them.
        has_times: whether the words' times were taken from the audio.
    """

    text: str
    words: tuple[Word, ...]
    turns: tuple[Turn, ...]
    language: str
    seconds: float
    has_times: bool = True
    stages: dict[str, float] = field(default_factory=dict)


Transcribe = Callable[[Path, str | None], Hypothesis]


def onecard(client: Client, beam_size: int | None = None) -> Transcribe:
    """A server, through its client.

    Args:
        beam_size: beams in the search; None: the plan's.
    """

    def transcribe(path: Path, language: str | None) -> Hypothesis:
        started_s = time.monotonic()
        found = client.transcribe(path, language=language, beam_size=beam_size)
        return of_transcript(found, time.monotonic() - started_s)

    return transcribe


def of_transcript(transcript: Transcript, seconds: float) -> Hypothesis:
    """What the server answered."""
    return Hypothesis(
        text=transcript.text,
        words=tuple(Word(word.word, word.start, word.speaker) for word in transcript.words),
        turns=tuple(Turn(turn.start, turn.end, turn.speaker) for turn in transcript.turns or ()),
        language=transcript.language,
        seconds=seconds,
    )


def of_answer(answer: Answer) -> Hypothesis:
    """What WhisperX answered. Words that it could not align have their segment's speaker."""
    words: list[Word] = []
    for segment in answer.segments:
        speaker = segment.get("speaker")
        if segment["words"]:
            words += [
                Word(word["word"], word.get("start"), word.get("speaker", speaker))
                for word in segment["words"]
            ]
        else:
            words += [Word(word, None, speaker) for word in segment["text"].split()]
    return Hypothesis(
        text=answer.text,
        words=tuple(words),
        turns=tuple(Turn(t["start"], t["end"], t["speaker"]) for t in answer.turns or ()),
        language=answer.language,
        seconds=answer.seconds["total"],
        has_times=any(word.start_s is not None for word in words),
        stages=answer.seconds,
    )


@contextmanager
def served(url: str | None, beam_size: int | None = None) -> Iterator[Transcribe]:
    """The server at `url`, or one started for the time of the block; beams as for `onecard`."""
    with connected(url) as client:
        yield onecard(client, beam_size)


@contextmanager
def connected(url: str | None) -> Iterator[Client]:
    """A client of the server at `url`, or of one started for the time of the block."""
    if url is not None:
        with Client(url) as client:
            client.health()
            yield client
        return
    from build_scripts.server.temporary import running

    with running() as one, Client(f"{one.reachable_address}:{one.grpc_port}") as client:
        yield client


@contextmanager
def whisperx(align_models: Path | None) -> Iterator[Transcribe]:
    """WhisperX, started for the time of the block; without models to align with it does not."""
    from evaluation.peers.whisperx import WhisperX  # it is not there until it was set up

    with WhisperX(align_models=align_models) as peer:

        def transcribe(path: Path, language: str | None) -> Hypothesis:
            return of_answer(peer.transcribe(path, language, align=align_models is not None))

        yield transcribe

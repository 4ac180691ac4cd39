"""A transcription told as events while it runs: progress, segments as they are ready, the result.

It knows the order of the pipeline and how its documents join; the work itself is done by the same
models that the `transcribe` ensemble calls. It knows nothing of Triton: `call` runs a model.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from onecard.audio import SAMPLE_RATE
from onecard.gate import Gate
from onecard.options import TranscribeOptions

Event = dict[str, Any]
Document = dict[str, Any]

# Of one recording: while one group is being aligned, others keep the engine busy.
MAX_GROUPS_IN_FLIGHT = 3
MARGIN_S = 1.0  # times are rounded on their way from model to model


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt."""

    max_streams: int  # at a time; more are refused
    chunks_per_event: int
    recognized_at_a_time: int  # groups, of all recordings
    aligned_at_a_time: int


class Gates:
    """What the groups of all transcriptions pass, so that a long recording lets a short one by."""

    def __init__(self, config: Config) -> None:
        self.recognize = Gate(config.recognized_at_a_time)
        self.align = Gate(config.aligned_at_a_time)


class Call(Protocol):
    """The other models."""

    def __call__(self, model: str, /, **inputs: Any) -> Mapping[str, Any]:
        """Run `model`; outputs by name, JSON documents as text, other tensors as they are."""

    def cut(self, pcm: Any, first: int, last: int) -> Any:
        """Samples [first, last) of a PCM tensor, as far as there are any."""


def events(
    call: Call, audio: Any, options: TranscribeOptions, chunks_per_event: int, gates: Gates
) -> Iterator[Event]:
    """Events of one transcription; closing the iterator ends it at the next model call.

    Segments come without speakers, which are known only when every turn is; the result has them.

    Raises:
        InvalidRequest, Unavailable: as the called models do.
    """
    settings = options.to_json()
    with ThreadPoolExecutor(MAX_GROUPS_IN_FLIGHT + 1) as pool:
        yield _progress("decode_audio", 0, 1)
        decoded = call("decode_audio", AUDIO=audio, OPTIONS=settings)
        pcm = decoded["PCM"]
        yield _progress("detect_speech", 0, 1)
        detected = call("detect_speech", PCM=pcm, OPTIONS=settings)
        turns = pool.submit(call, "diarize", PCM=pcm, SCORES=detected["SCORES"], OPTIONS=settings)
        speech = json.loads(detected["SPEECH"])
        aligned: list[Document] = []
        num_chunks = len(speech["chunks"])
        yield _progress("recognize", 0, num_chunks)
        for num_done, part in _recognize(call, gates, pool, pcm, speech, options, chunks_per_event):
            aligned.append(part)
            yield {"event": "segments", "segments": part["segments"]}
            yield _progress("recognize", num_done, num_chunks)
        yield _progress("diarize", 0, 1)
        labelled = call(
            "label",
            CLIP=decoded["CLIP"],
            SPEECH=detected["SPEECH"],
            ALIGNED=json.dumps(join(aligned)),
            TURNS=turns.result()["TURNS"],
            OPTIONS=settings,
        )
        yield {"event": "result", "result": json.loads(labelled["RESULT"])}


def _progress(stage: str, done: int, total: int) -> Event:
    return {"event": "progress", "stage": stage, "done": done, "total": total}


def _recognize(
    call: Call,
    gates: Gates,
    pool: ThreadPoolExecutor,
    pcm: Any,
    speech: Document,
    options: TranscribeOptions,
    chunks_per_event: int,
) -> Iterator[tuple[int, Document]]:
    """(chunks done, aligned document) group by group, in order.

    The first group tells the language, which the others are then given.
    """
    chunks = speech["chunks"]
    starts = range(0, max(len(chunks), 1), chunks_per_event)
    groups = deque(chunks[start : start + chunks_per_event] for start in starts)

    def run(group: Sequence[Document], num_left: int, settings: Document) -> Document:
        first, last = _samples(group)
        part = {"PCM": call.cut(pcm, first, last), "OPTIONS": json.dumps(settings)}
        asked = {**speech, "regions": [], "chunks": group, "first_sample": first}
        with gates.recognize.turn(num_left):
            found = call("recognize", SPEECH=json.dumps(asked), **part)
        with gates.align.turn(num_left):
            timed = call("align", SEGMENTS=found["SEGMENTS"], **part)
        document: Document = json.loads(timed["ALIGNED"])
        return document

    first = groups.popleft()
    num_done = len(first)
    document = run(first, len(chunks), options.to_dict())
    yield num_done, document
    settings = {**options.to_dict(), "language": document["language"]}
    running: deque[tuple[int, Future[Document]]] = deque()
    while groups or running:
        while groups and len(running) < MAX_GROUPS_IN_FLIGHT:
            group = groups.popleft()
            num_left = len(group) + sum(map(len, groups))
            running.append((len(group), pool.submit(run, group, num_left, settings)))
        num_chunks, future = running.popleft()
        num_done += num_chunks
        yield num_done, future.result()


def _samples(group: Sequence[Document]) -> tuple[int, int]:
    """Of the clip, what the models need for `group`: every model copies what it is sent."""
    if not group:
        return 0, 0
    first_s, last_s = group[0]["start"] - MARGIN_S, group[-1]["end"] + MARGIN_S
    return max(0, int(first_s * SAMPLE_RATE)), int(last_s * SAMPLE_RATE)


def join(parts: Sequence[Document]) -> Document:
    """One ALIGNED document from those of consecutive groups.

    Lists are joined and counts added; what describes the whole is the first group's, which
    detected the language.
    """
    whole = dict(parts[0])
    for key, value in whole.items():
        if isinstance(value, list):
            whole[key] = [item for part in parts for item in part[key]]
    whole["warnings"] = list(dict.fromkeys(whole["warnings"]))
    counts: dict[str, int] = {}
    for part in parts:
        for aligner, num_segments in part["aligners"].items():
            counts[aligner] = counts.get(aligner, 0) + num_segments
    whole["aligners"] = counts
    return whole

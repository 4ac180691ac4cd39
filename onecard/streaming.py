"""A transcription told as events while it runs: progress, segments as they are ready, the result.

It knows the order of the pipeline and how what models return for pieces of a recording joins; the
work itself is done by the same models that the `transcribe` ensemble calls. It knows nothing of
Triton: `call` runs a model. Every piece passes a gate, so that a short recording never waits for
the whole of a long one.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from onecard.audio import SAMPLE_RATE
from onecard.gate import Gate
from onecard.options import TranscribeOptions
from onecard.windows import SEGMENTATION

Event = dict[str, Any]
Document = dict[str, Any]
Array = npt.NDArray[Any]

# Of one recording: while one group is being aligned, others keep the engine busy.
MAX_GROUPS_IN_FLIGHT = 3
MARGIN_S = 1.0  # times are rounded on their way from model to model


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt.

    Places are for pieces of work at the same time, of all recordings: for pieces of any stage, or,
    where `places` is 0, for those of each stage.
    """

    max_streams: int  # at a time; more are refused
    windows_per_piece: int  # of detection and diarization
    chunks_per_piece: int  # of recognition and alignment, and so of an event
    diarize_in_pieces: bool
    places: int
    detect_places: int
    recognize_places: int
    align_places: int
    diarize_places: int


class Gates:
    """What the pieces of all recordings pass; whoever has least left goes first."""

    def __init__(self, config: Config) -> None:
        shared = Gate(config.places) if config.places else None
        self.detect = shared or Gate(config.detect_places)
        self.recognize = shared or Gate(config.recognize_places)
        self.align = shared or Gate(config.align_places)
        self.diarize = shared or Gate(config.diarize_places)


class Call(Protocol):
    """The other models."""

    def __call__(
        self, model: str, /, outputs: Sequence[str] = (), **inputs: Any
    ) -> Mapping[str, Any]:
        """Run `model`; outputs by name, JSON documents as text, other tensors as they are."""

    def array(self, tensor: Any) -> Array:
        """What such a tensor holds, without its batch dimension."""


def events(
    call: Call, audio: Any, options: TranscribeOptions, config: Config, gates: Gates
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
        recording = _Recording(call, decoded["PCM"], options, config, gates)
        speech, scores = yield from recording.detect()
        turns = pool.submit(recording.diarize, scores)
        aligned: list[Document] = []
        num_chunks = len(speech["chunks"])
        yield _progress("recognize", 0, num_chunks)
        for num_done, part in recording.recognize(pool, speech):
            aligned.append(part)
            yield {"event": "segments", "segments": part["segments"]}
            yield _progress("recognize", num_done, num_chunks)
        yield _progress("diarize", 0, 1)
        labelled = call(
            "label",
            CLIP=decoded["CLIP"],
            SPEECH=json.dumps(speech),
            ALIGNED=json.dumps(join(aligned)),
            TURNS=turns.result(),
            OPTIONS=settings,
        )
        yield {"event": "result", "result": json.loads(labelled["RESULT"])}


class _Recording:
    """One recording, piece by piece through the models."""

    def __init__(
        self, call: Call, pcm: Any, options: TranscribeOptions, config: Config, gates: Gates
    ) -> None:
        self._call = call
        self._pcm = pcm  # a tensor, which all models that take the whole share
        self._samples = call.array(pcm)
        self._options = options
        self._config = config
        self._gates = gates
        length_s = len(self._samples) / SAMPLE_RATE
        self._length_s = length_s
        self._left_s = {"recognize": length_s, "diarize": length_s if options.diarize else 0.0}

    def detect(self) -> Generator[Event, None, tuple[Document, Array]]:
        """SPEECH and SCORES of the whole; yields progress."""
        settings = self._options.to_json()
        pieces = self._pieces() if self._options.vad_method == "pyannote" else []
        if len(pieces) < 2:
            yield _progress("detect_speech", 0, 1)
            with self._gates.detect.turn(self._left()):
                found = self._call("detect_speech", PCM=self._pcm, OPTIONS=settings)
            return json.loads(found["SPEECH"]), self._call.array(found["SCORES"])
        parts: list[Array] = []
        for piece in pieces:
            yield _progress("detect_speech", len(parts), len(pieces))
            pcm = self._cut(*SEGMENTATION.samples(*piece))
            with self._gates.detect.turn(self._left()):
                found = self._call("detect_speech", ("SCORES",), PCM=pcm, OPTIONS=settings)
            parts.append(self._call.array(found["SCORES"]))
        scores = np.concatenate(parts)
        found = self._call(
            "detect_speech", ("SPEECH",), PCM=self._pcm, SCORES=scores, OPTIONS=settings
        )
        return json.loads(found["SPEECH"]), scores

    def diarize(self, scores: Array) -> str:
        """TURNS of the whole."""
        inputs = {"PCM": self._pcm, "SCORES": scores, "OPTIONS": self._options.to_json()}
        pieces = self._pieces() if self._options.diarize and len(scores) else []
        if self._config.diarize_in_pieces and len(pieces) > 1:
            inputs["EMBEDDINGS"] = np.concatenate(list(self._embeddings(pieces, scores)))
        with self._gates.diarize.turn(self._left()):
            turns: str = self._call("diarize", ("TURNS",), **inputs)["TURNS"]
        self._left_s["diarize"] = 0.0
        return turns

    def _embeddings(self, pieces: Sequence[tuple[int, int]], scores: Array) -> Iterator[Array]:
        settings = self._options.to_json()
        for num_done, (first, last) in enumerate(pieces, start=1):
            pcm = self._cut(*SEGMENTATION.samples(first, last))
            part = {"PCM": pcm, "SCORES": scores[first:last], "OPTIONS": settings}
            with self._gates.diarize.turn(self._left()):
                found = self._call("diarize", ("EMBEDDINGS",), **part)
            self._left_s["diarize"] = self._length_s * (1 - num_done / len(pieces))
            yield self._call.array(found["EMBEDDINGS"])

    def recognize(
        self, pool: ThreadPoolExecutor, speech: Document
    ) -> Iterator[tuple[int, Document]]:
        """(chunks done, aligned document) group by group, in order.

        The first group tells the language, which the others are then given.
        """
        chunks, size = speech["chunks"], self._config.chunks_per_piece
        groups = deque(chunks[i : i + size] for i in range(0, max(len(chunks), 1), size))
        group = groups.popleft()
        num_done = len(group)
        document = self._group(speech, group, self._options.to_dict())
        yield num_done, document
        settings = {**self._options.to_dict(), "language": document["language"]}
        running: deque[tuple[int, Future[Document]]] = deque()
        while groups or running:
            while groups and len(running) < MAX_GROUPS_IN_FLIGHT:
                group = groups.popleft()
                running.append((len(group), pool.submit(self._group, speech, group, settings)))
            num_chunks, future = running.popleft()
            num_done += num_chunks
            yield num_done, future.result()

    def _group(self, speech: Document, group: Sequence[Document], settings: Document) -> Document:
        """The aligned document of some chunks."""
        first, last = _samples(group)
        part: dict[str, Any] = {"PCM": self._cut(first, last), "OPTIONS": json.dumps(settings)}
        asked = {**speech, "regions": [], "chunks": group, "first_sample": first}
        with self._gates.recognize.turn(self._left()):
            found = self._call("recognize", SPEECH=json.dumps(asked), **part)
        with self._gates.align.turn(self._left()):
            timed = self._call("align", SEGMENTS=found["SEGMENTS"], **part)
        self._left_s["recognize"] -= self._length_s * len(group) / max(len(speech["chunks"]), 1)
        document: Document = json.loads(timed["ALIGNED"])
        return document

    def _pieces(self) -> list[tuple[int, int]]:
        """Windows [first, last) of each piece."""
        return list(SEGMENTATION.parts(len(self._samples), self._config.windows_per_piece))

    def _cut(self, first: int, last: int) -> Array:
        """Samples [first, last), as far as there are any: every model copies what it is sent."""
        return self._samples[first:last]

    def _left(self) -> float:
        """Seconds of audio that some stage has yet to do: stages run side by side."""
        return max(self._left_s.values())


def _progress(stage: str, done: int, total: int) -> Event:
    return {"event": "progress", "stage": stage, "done": done, "total": total}


def _samples(group: Sequence[Document]) -> tuple[int, int]:
    """[first, last) of what the models need for `group`."""
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

"""A transcription as a stream of events: progress, segments as they are ready, the result.

`call` runs a model. Every piece waits for admission, so that a short recording never waits for the
whole of a long one. Pieces are cut from a file, so that memory hardly grows with the length.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from onecard.audio import SAMPLE_RATE
from onecard.audio.spool import Rows, Spool
from onecard.audio.windows import SEGMENTATION
from onecard.contract import figures
from onecard.contract.lanes import Lanes
from onecard.documents import Json
from onecard.errors import Cancelled
from onecard.metrics.traffic import Traffic, Visit
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import lease
from onecard.streaming.admission import Admission

Event = dict[str, Any]
Document = dict[str, Any]
Array = npt.NDArray[Any]

# Of one recording: while one group is being aligned, others keep the engine busy.
MAX_GROUPS_IN_FLIGHT = 3
MARGIN_S = 1.0  # times are rounded on their way from model to model
PROGRESS_S = 1.0  # from one event to the next, where nothing else happens


@dataclass(frozen=True)
class Config:
    """Parameters of config.pbtxt.

    Places are for pieces at the same time, of all recordings: `places` for those of any stage.

    Raises ValueError for less than one of anything.
    """

    max_streams: int  # at a time; more are refused
    max_audio_bytes: int  # as sent; more are refused
    windows_per_piece: int  # of detection and diarization
    chunks_per_piece: int  # of recognition and alignment, and so of an event
    diarize_in_pieces: bool
    places: int
    detect_places: int
    recognize_places: int
    align_places: int
    diarize_places: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "diarize_in_pieces" and value < 1:
                raise ValueError(f"{name} is `{value}`, must be at least 1")

    def admission(self) -> Admission:
        """Admission for the pieces of all recordings, with a lane for each model."""
        lanes = {
            "detect_speech": self.detect_places,
            "recognize": self.recognize_places,
            "align": self.align_places,
            "diarize": self.diarize_places,
        }
        return Admission(self.places, lanes)


class Call(Protocol):
    """The other models."""

    def __call__(
        self, model: str, /, outputs: Sequence[str] = (), **inputs: Any
    ) -> Mapping[str, Any]:
        """Run `model`; outputs by name, JSON documents as text, other tensors as they are."""

    def check(self) -> None:
        """Raises where nobody waits for the answer any more."""

    def stopping(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `stop`, perhaps repeatedly, when the caller leaves while this context is open."""

    def array(self, tensor: Any) -> Array:
        """The content of such a tensor, without its batch dimension."""


def events(
    call: Call,
    audio: Spool,
    options: TranscribeOptions,
    config: Config,
    admission: Admission,
    visit: Visit | None = None,
) -> Generator[Event, None, None]:
    """Events of one transcription; closing the generator ends it at the next model call.

    Segments come without speakers, which are known only when every turn is; the result has them.
    When nobody waits for them, the room on disk is given back at once, whatever a model is doing;
    `decode_audio` sees that and ends its work.

    Args:
        audio: what was sent; closed as soon as it is decoded.
        visit: is told what is done and what is left.

    Raises:
        InvalidRequest, Unavailable: as the called models do.
    """
    yield _progress("decode_audio", 0, 1)
    with (
        Spool() as pcm,
        Rows() as scores,
        Rows() as embeddings,
        call.stopping(partial(_close, audio, pcm, scores, embeddings)),
        _Recording(call, pcm, options, config, admission, visit or Traffic().accept()) as recording,
    ):
        with audio:
            clip = recording.decode(audio)
        lanes = Lanes.of(json.loads(clip))
        speech_json = yield from recording.detect(scores)
        speech = json.loads(speech_json)
        turns = recording.pool.submit(recording.diarize, scores, embeddings)
        aligned: list[Document] = []
        num_chunks = len(speech["chunks"])
        yield _progress("recognize", 0, num_chunks)
        for num_done, part in recording.recognize(speech):
            aligned.append(part)
            segments = figures.told(part["segments"])
            if lanes is not None:
                segments = lanes.spoken(segments)
            yield {"event": "segments", "segments": segments, **_language(part)}
            yield _progress("recognize", num_done, num_chunks)
            if turns.done():
                turns.result()  # where that failed, nothing more is recognized
        yield recording.diarized()
        while not wait((turns,), PROGRESS_S).done:
            yield recording.diarized()
        result = recording.label(
            CLIP=clip, SPEECH=speech_json, ALIGNED=json.dumps(join(aligned)), TURNS=turns.result()
        )
        yield {"event": "result", "result": result}


def _language(part: Document) -> Document:
    """What a part of a transcript tells of its language, for who waits for nothing else."""
    return {key: part.get(key) for key in ("language", "language_probability")}


def result(events: Iterator[Event]) -> Event:
    """The last of `events`, for those who want no other."""
    [last] = deque(events, maxlen=1)
    return last


class _Recording:
    """Sends one recording through the models piece by piece; on exit no new piece begins."""

    def __init__(
        self,
        call: Call,
        pcm: Spool,
        options: TranscribeOptions,
        config: Config,
        admission: Admission,
        visit: Visit,
    ) -> None:
        self.pool = ThreadPoolExecutor(MAX_GROUPS_IN_FLIGHT + 1)
        self._call = call
        self._pcm = pcm
        self._options = options
        self._options_json = options.to_json()
        self._config = config
        self._admission = admission
        self._visit = visit
        self._is_over = False
        # A group that goes on from the text of the one before has to wait for it.
        waits = options.condition_on_previous_text
        self._max_in_flight = 1 if waits else MAX_GROUPS_IN_FLIGHT
        self._num_samples = 0
        self._length_s = 0.0
        self._left_s: dict[str, float] = {}
        self._num_diarized, self._num_to_diarize = 0, 1

    def __enter__(self) -> _Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self.pool.shutdown()

    def decode(self, audio: Spool) -> str:
        """CLIP; comes before everything else."""
        files = {"AUDIO_FILE": audio.reference, "PCM_FILE": self._pcm.reference}
        with self._visit.working("decode_audio"):
            found = self._call("decode_audio", ("CLIP",), OPTIONS=self._options_json, **files)
        self._num_samples = self._pcm.num_samples
        self._length_s = self._num_samples / SAMPLE_RATE
        self._left_s = {"recognize": self._length_s, "diarize": self._length_s}
        self._tell_left()
        options = self._options
        if options.tells_speakers and options.has_scores and self._config.diarize_in_pieces:
            self._num_to_diarize = max(1, len(self._pieces()))
        clip: str = found["CLIP"]
        return clip

    def detect(self, scores: Rows) -> Generator[Event, None, str]:
        """SPEECH of the whole, and `scores`; yields progress."""
        pieces = self._pieces()
        if len(pieces) < 2 or not self._options.has_scores:
            yield _progress("detect_speech", 0, 1)
            found = self._run("detect_speech", PCM=self._whole())
            scores.append(self._call.array(found["SCORES"]))
        else:
            for num_done, (first, last) in enumerate(pieces):
                yield _progress("detect_speech", num_done, len(pieces))
                pcm = self._pcm.samples(*SEGMENTATION.samples(first, last))
                found = self._run("detect_speech", ("SCORES",), PCM=pcm)
                scores.append(self._call.array(found["SCORES"]))
            known: dict[str, Any] = {"NUM_SAMPLES": self._length()}
            known["SCORES_FILE"] = scores.reference
            found = self._run("detect_speech", ("SPEECH",), **known)
        speech: str = found["SPEECH"]
        return speech

    def diarize(self, scores: Rows, embeddings: Rows) -> str:
        """TURNS of the whole; `embeddings`, which may stay empty, are of its pieces."""
        known: dict[str, Any] = {"SCORES_FILE": scores.reference}
        if self._num_to_diarize > 1:
            self._embed(scores, embeddings)
            known["EMBEDDINGS_FILE"] = embeddings.reference
        if self._num_to_diarize > 1 or not self._options.tells_speakers:
            known["NUM_SAMPLES"] = self._length()
        else:
            known["PCM"] = self._whole()
        turns: str = self._run("diarize", ("TURNS",), **known)["TURNS"]
        self._set_left("diarize", 0.0)
        return turns

    def _embed(self, scores: Rows, embeddings: Rows) -> None:
        for first, last in self._pieces():
            pcm = self._pcm.samples(*SEGMENTATION.samples(first, last))
            known = scores.part(first, last)
            found = self._run("diarize", ("EMBEDDINGS",), PCM=pcm, SCORES=known)
            embeddings.append(self._call.array(found["EMBEDDINGS"]))
            self._num_diarized += 1
            self._set_left("diarize", 1 - self._num_diarized / self._num_to_diarize)

    def label(self, **documents: str) -> Json:
        """RESULT, as `label` wrote it: an hour's has two million characters."""
        with self._visit.working("label"):
            found = self._call("label", OPTIONS=self._options_json, **documents)
        return Json(found["RESULT"])

    def diarized(self) -> Event:
        """Progress of `diarize`."""
        return _progress("diarize", self._num_diarized, self._num_to_diarize)

    def recognize(self, speech: Document) -> Iterator[tuple[int, Document]]:
        """(chunks done, aligned document) group by group, in order.

        The first group tells the language, which the others are then given.
        """
        chunks, size = speech["chunks"], self._config.chunks_per_piece
        groups = deque(chunks[i : i + size] for i in range(0, max(len(chunks), 1), size))
        group = groups.popleft()
        num_done = len(group)
        document = self._group(speech, group)
        yield num_done, document
        speech = _continued(speech, document)
        running: deque[tuple[int, Future[Document]]] = deque()
        while groups or running:
            self._set_left("recognize", 1 - num_done / len(chunks))
            while groups and len(running) < self._max_in_flight:
                group = groups.popleft()
                future = self.pool.submit(self._group, speech, group)
                running.append((len(group), future))
            num_chunks, future = running.popleft()
            num_done += num_chunks
            document = future.result()
            speech = _continued(speech, document)
            yield num_done, document
        self._set_left("recognize", 0.0)

    def _group(self, speech: Document, group: Sequence[Document]) -> Document:
        """The aligned document of some chunks."""
        first, last = _samples(group)
        pcm = self._pcm.samples(first, last)
        asked = json.dumps({**speech, "regions": [], "chunks": group, "first_sample": first})
        found = self._run("recognize", PCM=pcm, SPEECH=asked)
        segments = found["SEGMENTS"]
        timed = self._run("align", PCM=pcm, SEGMENTS=segments)
        document: Document = json.loads(timed["ALIGNED"])
        return document

    def _run(
        self,
        model: str,
        outputs: Sequence[str] = (),
        **inputs: Any,
    ) -> Mapping[str, Any]:
        """Call `model` when it is this recording's turn."""
        with ExitStack() as stack:
            turn = self._admission.turn(model, max(self._left_s.values()), self._check)
            with self._visit.waiting():
                stack.enter_context(turn)
            stack.enter_context(self._visit.working(model))
            self._check()
            try:
                return self._call(model, outputs, OPTIONS=self._options_json, **inputs)
            except Exception:
                self._check()  # what it was to read may be gone for that reason
                raise

    def _set_left(self, stage: str, share: float) -> None:
        self._left_s[stage] = self._length_s * share
        self._tell_left()

    def _tell_left(self) -> None:
        """Seconds of audio that its slowest stage has before it; without diarization there is
        nothing to be done for speakers."""
        stages = ("recognize", "diarize") if self._options.diarize else ("recognize",)
        left_s = max(self._left_s[stage] for stage in stages)
        self._visit.audio(self._length_s, left_s)

    def _check(self) -> None:
        self._call.check()
        if self._is_over:
            raise Cancelled("another part of the transcription has failed")

    def _pieces(self) -> list[tuple[int, int]]:
        """Windows [first, last) of each piece."""
        return list(SEGMENTATION.parts(self._num_samples, self._config.windows_per_piece))

    def _whole(self) -> Array:
        """PCM of the whole recording, for models that cannot work in pieces."""
        return self._pcm.samples(0, self._num_samples)

    def _length(self) -> Array:
        """NUM_SAMPLES."""
        return np.array([self._num_samples], np.int64)


def _continued(speech: Document, document: Document) -> Document:
    """SPEECH for the group behind the one that became `document`."""
    known = {"language": speech.get("language") or document["language"]}
    return {**speech, **known, "previous": document.get("previous") or []}


def _close(*files: Spool | Rows) -> None:
    for file in files:
        file.close()


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

    Lists are joined, counts and waits for a model added; what describes the whole is the first
    group's, which detected the language.
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
    for key in (lease.LOAD_S, lease.WAIT_S):  # of a model on demand
        seconds = [part["engine"][key] for part in parts if key in part.get("engine", ())]
        if seconds:
            whole["engine"] = {**whole["engine"], key: round(sum(seconds), 3)}
    return whole

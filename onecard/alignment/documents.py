"""SEGMENTS documents of several requests to ALIGNED documents: who times what, and what it becomes.

The shape of sentences and words is WhisperX's (whisperx/alignment.py, `align`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onecard.alignment import sentences, text
from onecard.alignment.units import Aligner, Alignment, Failure, Utterance
from onecard.audio import SAMPLE_RATE, Pcm
from onecard.contract import figures, shapes
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions

Document = dict[str, Any]
UNALIGNED = "none"

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One request: the audio [N], its SEGMENTS document and the options.

    The audio may be a part of the clip, from the document's `first_sample` on.
    """

    pcm: Pcm
    document: Mapping[str, Any]
    options: TranscribeOptions


@dataclass
class _Pending:
    """A segment on its way through the aligners."""

    segment: Mapping[str, Any]
    utterance: Utterance
    aligner: str = UNALIGNED
    alignment: Alignment | None = None
    failures: list[str] = field(default_factory=list)


def align(jobs: Sequence[Job], aligners: Sequence[Aligner]) -> list[Document | Exception]:
    """The ALIGNED document of each job, or what is wrong with it; one never affects another.

    The segments of all jobs go to the first aligner that speaks their language together, so that
    it can batch them; those that it cannot time go on to the next.
    """
    pending: list[list[_Pending] | Exception] = []
    for job in jobs:
        try:
            pending.append(_prepare(job))
        except InvalidRequest as error:
            pending.append(error)
    _run(
        [
            item
            for job, items in zip(jobs, pending, strict=True)
            if isinstance(items, list) and _is_wanted(job.options)
            for item in items
            if item.utterance.words and len(item.utterance.pcm)
        ],
        aligners,
    )
    return [
        items if isinstance(items, Exception) else _document(job, items)
        for job, items in zip(jobs, pending, strict=True)
    ]


def _prepare(job: Job) -> list[_Pending]:
    shapes.verify("SEGMENTS", job.document, shapes.SEGMENTS)
    usual = str(job.document["language"])
    first_sample = int(job.document.get("first_sample") or 0)
    segments = [dict(segment) for segment in job.document["segments"]]
    return [
        _Pending(
            segment,
            _utterance(segment, job.pcm, first_sample, segment.get("language") or usual),
        )
        for segment in segments
    ]


def _is_wanted(options: TranscribeOptions) -> bool:
    """A translation is not what was said, so that its words have no times."""
    return options.align and options.task == "transcribe"


def _utterance(segment: Mapping[str, Any], pcm: Pcm, first_sample: int, language: str) -> Utterance:
    duration_s = (first_sample + len(pcm)) / SAMPLE_RATE
    start_s = min(max(0.0, float(segment["start"])), duration_s)
    end_s = min(max(start_s, float(segment["end"])), duration_s)
    first, last = (int(time_s * SAMPLE_RATE) - first_sample for time_s in (start_s, end_s))
    samples = pcm[max(0, first) : max(0, last)]
    written = str(segment["text"])
    words = text.split_words(written, language)
    return Utterance(samples, start_s, end_s, written, language, words)


def _run(pending: Sequence[_Pending], aligners: Sequence[Aligner]) -> None:
    """Fill in alignments, asking one aligner after the other."""
    for aligner in aligners:
        todo = [
            item
            for item in pending
            if item.alignment is None and aligner.speaks(item.utterance.language)
        ]
        outcomes = _outcomes(aligner, [item.utterance for item in todo]) if todo else []
        for item, outcome in zip(todo, outcomes, strict=True):
            if isinstance(outcome, Failure):
                item.failures.append(f"`{aligner.name}`: {outcome.reason}")
            else:
                item.alignment, item.aligner = outcome, aligner.name


def _outcomes(aligner: Aligner, utterances: list[Utterance]) -> list[Alignment | Failure]:
    """Align all utterances together, or one by one if that fails, so that only one is lost."""
    try:
        return aligner.align(utterances)
    except Exception:  # an aligner's fault must not cost a request that another one can serve
        _LOGGER.exception("aligner `%s` failed on %d segments", aligner.name, len(utterances))
    if len(utterances) == 1:
        return [Failure("it broke; the server log has the traceback")]
    return [outcome for utterance in utterances for outcome in _outcomes(aligner, [utterance])]


def _document(job: Job, pending: Sequence[_Pending]) -> Document:
    found = [sentence for item in pending for sentence in _sentences(item, job.options)]
    document = {key: value for key, value in job.document.items() if key != "first_sample"}
    return {
        **document,
        "segments": found,
        "aligners": dict(Counter(item.aligner for item in pending)),
        "warnings": [*(job.document.get("warnings") or []), *_warnings(job, pending)],
    }


def _sentences(item: _Pending, options: TranscribeOptions) -> list[Document]:
    """WhisperX-shaped sentences of one segment; the segment itself where it was not aligned."""
    if item.alignment is not None:
        found = sentences.assemble(item.utterance, item.alignment, options)
    else:
        utterance = item.utterance
        words = [{"word": word.text, "score": 0.0} for word in utterance.words]
        is_wanted = _is_wanted(options)
        found = [
            {
                "start": round(utterance.start_s, sentences.DECIMALS),
                "end": round(utterance.end_s, sentences.DECIMALS),
                "text": " ".join(utterance.text.split()) if is_wanted else utterance.text,
                "words": words if is_wanted else [],
            }
        ]
    parts = figures.of_parts(item.segment, [sentence["text"] for sentence in found])
    for sentence, part in zip(found, parts, strict=True):
        sentence.update(part)
        if "language" in item.segment:
            sentence["language"] = item.segment["language"]
        sentence["aligner"] = item.aligner
    return found


def _warnings(job: Job, pending: Sequence[_Pending]) -> list[str]:
    if not job.options.align:
        return []
    if not _is_wanted(job.options):
        return ["words of a translation have no times, as they were not said"]
    found = [
        f"segment at {item.utterance.start_s:.2f} s was timed by `{item.aligner}`, not by "
        + "; ".join(item.failures)
        for item in pending
        if item.failures
    ]
    found += [
        f"segment at {float(item.segment['start']):.2f} s has no audio, so that its words have "
        "no times"
        for item in pending
        if item.utterance.words and not len(item.utterance.pcm)
    ]
    if job.options.return_char_alignments:
        names = {item.aligner for item in pending if item.alignment and not item.alignment.chars}
        found += [f"`{name}` times words, not characters: no `chars`" for name in sorted(names)]
    return found

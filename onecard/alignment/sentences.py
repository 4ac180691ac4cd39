"""One segment's word times to sentences with words, in the shape that WhisperX gives them.

Times do not run backwards and stay within the segment; words concatenate to the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from onecard.alignment import interpolation, loudness, text
from onecard.alignment.units import Alignment, Timed, Utterance
from onecard.options.transcribe import TranscribeOptions

Document = dict[str, Any]
# Of seconds and scores (WhisperX's).
DECIMALS = 3


def assemble(
    utterance: Utterance, alignment: Alignment, options: TranscribeOptions
) -> list[Document]:
    """The sentences of a segment; adjacent ones with the same times are one, as in WhisperX."""
    spans = text.split_sentences(utterance.text, utterance.language, utterance.words)
    times = loudness.trim(utterance, list(alignment.words))
    times = complete(utterance, times, spans, options.interpolate_method)
    bounds = interpolation.fill([_bounds(times, span) for span in spans], "nearest")
    found: list[Document] = []
    for span, bound in zip(spans, bounds, strict=True):
        if bound is None:  # nothing is timed, and interpolation is off
            bound = Timed(utterance.start_s, utterance.end_s, 0.0)
        sentence = {
            "start": bound.start_s,
            "end": bound.end_s,
            "text": _text(utterance, span),
            "words": [_word(utterance.words[i].text, times[i]) for i in span],
        }
        if options.return_char_alignments and alignment.chars is not None:
            sentence["chars"] = _chars(utterance, alignment.chars, span)
        if found and (found[-1]["start"], found[-1]["end"]) == (bound.start_s, bound.end_s):
            _append(found[-1], sentence, text.separator(utterance.language))
        else:
            found.append(sentence)
    return found


def complete(
    utterance: Utterance,
    times: Sequence[Timed | None],
    spans: Sequence[range],
    method: interpolation.Method,
) -> list[Timed | None]:
    """Rounded times of all words, in order and inside the segment, missing ones interpolated.

    Neighbours in the same sentence are preferred, as in WhisperX; a sentence without any takes
    those of the segment.
    """
    ordered: list[Timed | None] = []
    low_s = high_s = round(utterance.start_s, DECIMALS)
    limit_s = round(utterance.end_s, DECIMALS)
    for time in times:
        if time is not None:
            low_s = min(max(low_s, round(time.start_s, DECIMALS)), limit_s)
            high_s = min(max(low_s, high_s, round(time.end_s, DECIMALS)), limit_s)
            score = round(min(max(time.score, 0.0), 1.0), DECIMALS)
            time = Timed(low_s, high_s, score, time.is_interpolated)
        ordered.append(time)
    for span in spans:
        ordered[span.start : span.stop] = interpolation.fill(
            ordered[span.start : span.stop], method
        )
    return [
        time
        and replace(time, start_s=round(time.start_s, DECIMALS), end_s=round(time.end_s, DECIMALS))
        for time in interpolation.fill(ordered, method)
    ]


def _bounds(times: Sequence[Timed | None], span: range) -> Timed | None:
    timed = [time for time in times[span.start : span.stop] if time is not None]
    if not timed:
        return None
    return Timed(min(t.start_s for t in timed), max(t.end_s for t in timed), 0.0)


def _text(utterance: Utterance, span: range) -> str:
    """The text as written, with each run of whitespace replaced by one space."""
    first, last = utterance.words[span.start], utterance.words[span.stop - 1]
    return " ".join(utterance.text[first.start : last.end].split())


def _word(written: str, time: Timed | None) -> Document:
    if time is None:
        return {"word": written, "score": 0.0}
    found = {"word": written, "start": time.start_s, "end": time.end_s, "score": time.score}
    return {**found, "timing": "interpolated"} if time.is_interpolated else found


def _chars(utterance: Utterance, chars: Sequence[Timed | None], span: range) -> list[Document]:
    """Each character of a sentence; one that was not aligned has no time."""
    found = []
    first, last = utterance.words[span.start], utterance.words[span.stop - 1]
    for i in range(first.start, last.end):
        char: Document = {"char": utterance.text[i]}
        if (time := chars[i]) is not None:
            char["start"] = round(time.start_s, DECIMALS)
            char["end"] = round(time.end_s, DECIMALS)
            char["score"] = round(time.score, DECIMALS)
        found.append(char)
    return found


def _append(sentence: Document, other: Document, separator: str) -> None:
    sentence["text"] = separator.join((sentence["text"], other["text"]))
    for key in ("words", "chars"):
        if key in sentence:
            sentence[key] = sentence[key] + other[key]

"""The RESULT document: labelled segments and an account of every second of audio.

Its fields are described in docs/using/result.md and by contract/schemas/result.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onecard.contract import figures, shapes
from onecard.contract.lanes import Lanes
from onecard.options.transcribe import TranscribeOptions
from onecard.result import inventions, rendered
from onecard.result.speakers import Config, Document, is_timed, label

VERSION = "1"
# Aligners that listened; `proportional` and `none` derive times without hearing the words.
ACOUSTIC_ALIGNERS = frozenset({"ctc", "pocketsphinx", "attention"})
DECIMALS = 3  # of every time: milliseconds
TOLERANCE_S = 2e-3  # two times, each rounded to DECIMALS, may differ by this and be the same

# Of the document CLIP, what RESULT repeats; the rest is in the account and the warnings.
CLIP = (
    "duration_s", "sample_rate", "channels", "container", "codec", "track", "num_tracks", "start_s",
)  # fmt: skip

Span = tuple[float, float]


def assemble(
    *,
    clip: Document,
    speech: Document,
    aligned: Document,
    turns: Document,
    options: TranscribeOptions,
    config: Config,
) -> Document:
    """The RESULT document of one request from the documents CLIP, SPEECH, ALIGNED and TURNS.

    Raises:
        InvalidRequest: one of them is not what its model answers.
    """
    parts = {"clip": clip, "speech": speech, "aligned": aligned, "turns": turns}
    for name, document in parts.items():
        shapes.verify(name.upper(), document, shapes.PARTS[name])
    duration_s = round(float(clip["duration_s"]), DECIMALS)
    source = {key: clip[key] for key in CLIP if key in clip}
    lanes = Lanes.of(clip)
    heard_s = lanes.end_s if lanes else duration_s  # of what the models took for one recording
    sentences = [_within(segment, heard_s) for segment in aligned["segments"]]
    invented = inventions.dropped(sentences, options.hallucination_silence_threshold)
    sentences = [sentence for sentence in sentences if sentence not in invented]
    segments = sentences
    if lanes is not None:
        segments = lanes.spoken(sentences)
        turns = _of_channels(lanes, speech)
    elif turns.get("turns") is not None:
        segments = label(sentences, turns.get("exclusive") or [], config)
    segments = figures.told(segments)
    segments.sort(key=lambda segment: (segment["start"], segment["end"]))
    # The account does not depend on where speakers cut the sentences.
    reported = [*aligned["dropped"], *(_invented(sentence) for sentence in invented)]
    dropped = _dropped(speech["chunks"], sentences, reported)
    account = _account(heard_s, speech, sentences, aligned["retried"], dropped)
    if lanes is not None:
        account = _of_all_channels(account, lanes)
    result = {
        "version": VERSION,
        "segments": segments,
        "word_segments": [word for segment in segments for word in segment["words"]],
        "speakers": turns["speakers"],
        "language": aligned["language"],
        "language_probability": aligned["language_probability"],
        "duration_s": duration_s,
        "clip": source,
        "turns": turns.get("turns"),
        "account": {
            **account,
            "missing_s": clip.get("missing_s") or 0.0,
            "gaps": [{"start": a, "end": b} for a, b in clip.get("gaps") or ()],
        },
        "engine": _engines(speech, aligned, turns),
        "options": options.to_dict(),
        "warnings": [
            warning for part in (clip, aligned, turns) for warning in part.get("warnings") or ()
        ],
    }
    result["warnings"] += _other_languages(segments, aligned["language"])
    if speech["chunks"] and not segments:
        reasons = "; ".join(dict.fromkeys(drop["reason"] for drop in dropped))
        result["warnings"].append(f"there is no text: of the speech nothing was kept ({reasons})")
    if turns["embeddings"] is not None:
        result["speaker_embeddings"] = turns["embeddings"]
    if turns.get("known_speakers") is not None:
        result["known_speakers"] = turns["known_speakers"]
    result["warnings"] += violations(result)
    if options.formats:
        result["formats"] = rendered.texts(result, options.formats)
    return result


def _of_channels(lanes: Lanes, speech: Document) -> Document:
    """TURNS of channels that are a speaker each."""
    turns = lanes.turns(region for chunk in speech["chunks"] for region in chunk["regions"])
    return {
        "turns": turns,
        "speakers": sorted({turn["speaker"] for turn in turns}),
        "embeddings": None,
        "engine": {"method": "channels", "num_channels": lanes.num_channels},
    }


def _of_all_channels(account: Document, lanes: Lanes) -> Document:
    """The account without the silence between channels, at the times in each."""
    total_s = round(lanes.total_s, DECIMALS)
    return {
        **account,
        "duration_s": total_s,
        "silence_s": round(total_s - account["speech_s"], DECIMALS),
        "retried": lanes.reported(account["retried"]),
        "dropped": lanes.reported(account["dropped"]),
    }


def _invented(sentence: Document) -> Document:
    """An entry of `dropped`."""
    reason = f"improbable words in a silence: `{sentence['text'].strip():.40}`"
    return {"start": sentence["start"], "end": sentence["end"], "reason": reason}


def _other_languages(segments: Sequence[Document], usual: str) -> Iterable[str]:
    """A warning for each language that is spoken in addition to the `usual` one."""
    spans: dict[str, list[Document]] = {}
    for segment in segments:
        if "language" in segment:
            spans.setdefault(segment["language"], []).append(segment)
    for language, found in spans.items():
        yield (
            f"besides `{usual}`, `{language}` is spoken, from {found[0]['start']:.2f} to "
            f"{found[-1]['end']:.2f} s; its segments say so"
        )


def violations(result: Document) -> list[str]:
    """RESULT's promises that do not hold, one sentence each; usually none.

    Times lie within the audio and do not run backwards, the words of a segment are its text, the
    flat word list is the segments' words, the seconds of the account add up.
    """
    found = []
    for i, segment in enumerate(result["segments"]):
        found += [f"segment {i}: {what}" for what in _segment_violations(segment, result)]
    starts = [segment["start"] for segment in result["segments"]]
    if starts != sorted(starts):
        found.append("segments are not in order of time")
    words = [word for segment in result["segments"] for word in segment["words"]]
    if words != result["word_segments"]:
        found.append("`word_segments` are not the words of `segments`")
    account = result["account"]
    for whole, parts in (
        ("duration_s", ("speech_s", "silence_s")),
        ("speech_s", ("transcribed_s", "dropped_s")),
    ):
        if abs(account[whole] - sum(account[part] for part in parts)) > TOLERANCE_S:
            found.append(f"`{whole}` is {account[whole]}, not the sum of {' and '.join(parts)}")
    return found


def _segment_violations(segment: Document, result: Document) -> Iterable[str]:
    timed = [word for word in segment["words"] if is_timed(word)]
    for span in (segment, *timed):
        if not 0 <= span["start"] <= span["end"] <= result["duration_s"] + TOLERANCE_S:
            yield f"{span['start']} to {span['end']} s is not a span within the audio"
    starts = [word["start"] for word in timed]
    if starts != sorted(starts):
        yield "its words run backwards"
    spoken = "".join(word["word"] for word in segment["words"])
    if segment["words"] and "".join(spoken.split()) != "".join(segment["text"].split()):
        yield "its words are not its text"


def _within(segment: Document, duration_s: float) -> Document:
    """The segment with its times, and those of its words, inside the audio."""

    def cut(item: Document) -> Document:
        times = {key: item[key] for key in ("start", "end") if item.get(key) is not None}
        inside = {k: round(min(max(0.0, t), duration_s), DECIMALS) for k, t in times.items()}
        return {**item, **inside}

    found = {**cut(segment), "words": [cut(word) for word in segment.get("words") or []]}
    if segment.get("chars"):
        found["chars"] = [cut(char) for char in segment["chars"]]
    return found


def _dropped(
    chunks: Sequence[Document], segments: Sequence[Document], reported: Sequence[Document]
) -> list[Document]:
    """Chunks without text and why; one that nobody reported is named too, so none is lost."""
    found = list(reported)
    for chunk in chunks:
        span = (chunk["start"], chunk["end"])
        known = any(_overlap_s(span, (d["start"], d["end"])) > TOLERANCE_S for d in reported)
        middles = ((s["start"] + s["end"]) / 2 for s in segments)
        if not known and not any(
            span[0] - TOLERANCE_S <= middle <= span[1] + TOLERANCE_S for middle in middles
        ):
            found.append({"start": span[0], "end": span[1], "reason": "no text was recognized"})
    return sorted(found, key=lambda drop: float(drop["start"]))


def _account(
    duration_s: float,
    speech: Document,
    segments: Sequence[Document],
    retried: Sequence[Document],
    dropped: Sequence[Document],
) -> Document:
    regions = _union(
        (max(0.0, start), min(duration_s, end))
        for chunk in speech["chunks"]
        for start, end in chunk["regions"]
    )
    drops = _union((drop["start"], drop["end"]) for drop in dropped)
    speech_s = round(_total_s(regions), DECIMALS)
    dropped_s = round(sum(_overlap_s(r, d) for r in regions for d in drops), DECIMALS)
    words = [word for segment in segments for word in segment["words"]]
    heard = [s for s in segments if s.get("aligner") in ACOUSTIC_ALIGNERS]
    aligned_s = _total_s(_union((s["start"], s["end"]) for s in heard))
    return {
        "duration_s": duration_s,
        "speech_s": speech_s,
        "silence_s": round(duration_s - speech_s, DECIMALS),
        "transcribed_s": round(speech_s - dropped_s, DECIMALS),
        "dropped_s": dropped_s,
        "aligned_s": round(aligned_s, DECIMALS),
        "num_chunks": len(speech["chunks"]),
        "num_words": len(words),
        "num_words_interpolated": sum(word.get("timing") == "interpolated" for word in words),
        "num_words_untimed": sum(not is_timed(word) for word in words),
        "retried": list(retried),
        "dropped": list(dropped),
    }


def _engines(speech: Document, aligned: Document, turns: Document) -> Document:
    """Which backend and model answered, for each stage."""
    return {
        "detect_speech": {"method": speech["method"], **(speech.get("engine") or {})},
        "recognize": aligned["engine"],
        "align": {"aligners": aligned["aligners"]},
        "diarize": turns["engine"],
    }


def _union(spans: Iterable[Span]) -> list[Span]:
    """Spans in order of time, those that touch or overlap joined, empty ones left out."""
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _total_s(spans: Sequence[Span]) -> float:
    return sum(end - start for start, end in spans)


def _overlap_s(a: Span, b: Span) -> float:
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))

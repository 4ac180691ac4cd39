"""Speech to words, times and speakers: onecard over gRPC, WhisperX in a process of its own.

Both have the same Whisper and its compute type, segmentation, embedding, acoustic model, beam and
threads, and are warm; `bench.precisions` says where one computes in fewer bits. They take turns on
recordings of five minutes, and the errors of each are counted beside its seconds. WhisperX aligns
with wav2vec2, of which no package carries a trained one; both get the same network of that size
(`evaluation.peers.acoustic`). onecard runs once more with the aligner that it has by default.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import precisions
from bench.interleave import is_quick, once, ratios, spread
from bench.serving import Serving, serving, spent
from evaluation import bundled, recordings, report, systems
from evaluation.bundled import Part
from evaluation.manifest import Entry
from evaluation.metrics import Counts
from evaluation.peers import ctc_repository
from evaluation.peers.whisperx import WhisperX
from evaluation.report import Score
from evaluation.systems import Hypothesis

NUM_RECORDINGS = 2  # a round each
QUICK_PROMPTS = 6
PROMPTS = 44
# Models whose computing is not within another's.
STAGES = ("decode_audio", "detect_speech", "recognize", "align", "diarize", "label")


def measure() -> dict[str, Any]:
    """Times real time of both, their ratio, word and speaker errors of both, seconds by stage."""
    with tempfile.TemporaryDirectory() as folder:
        entries = compose(Path(folder))
        warm_up = bundled.conversations()[0]
        found: dict[str, list[Score]] = {"whisperx": [], "onecard": []}
        with WhisperX() as peer, ctc_repository.chosen(), serving() as server:
            sides: dict[str, Callable[[Entry], Hypothesis]] = {
                "whisperx": _Peer(peer),
                "onecard": _Served(server),
            }
            for side in sides.values():
                side(warm_up)
            for entry in entries:
                for name, side in sides.items():
                    found[name].append(_told(name, entry, side(entry)))
        with serving() as server:
            default = _Served(server)
            default(warm_up)
            name = "onecard, its own aligner"
            found[name] = [_told(name, entries[0], default(entries[0]))]
    return {**summary(found), "precisions": precisions.of_both()}


def compose(folder: Path) -> list[Entry]:
    """Recordings of about five minutes, of talk whose words are known and talk whose are not.

    Conversations, of which it is known who speaks when, alternate with a president, two colds and
    a telephone exchange, whose words are known.
    """
    num_recordings = 1 if is_quick() else NUM_RECORDINGS
    talks = [bundled.talked(entry.audio) for entry in bundled.conversations()]
    said = [bundled.spoken(recordings.jfk(), bundled.JFK)]
    said += [
        bundled.spoken(recordings.dictation(name), bundled.DICTATOR) for name in bundled.DICTATIONS
    ]
    prompts = bundled.announcements(QUICK_PROMPTS if is_quick() else PROMPTS)
    said += [bundled.spoken(clip, bundled.ANNOUNCER) for clip in prompts]
    if is_quick():
        talks = talks[:3]
    return [
        bundled.compose(
            f"speech-{number + 1}", folder,
            _alternating(talks[number::num_recordings], said[number::num_recordings]), "en",
        )
        for number in range(num_recordings)
    ]  # fmt: skip


def _alternating(talks: Sequence[Part], said: Sequence[Part]) -> list[Part]:
    """A talk, then as many of the others as make them last equally long, and so on."""
    parts: list[Part] = []
    for number, talk in enumerate(talks):
        share = slice(number * len(said) // len(talks), (number + 1) * len(said) // len(talks))
        parts += [talk, *said[share]]
    return parts


class _Peer:
    def __init__(self, peer: WhisperX) -> None:
        self._peer = peer

    def __call__(self, entry: Entry) -> Hypothesis:
        return systems.of_answer(self._peer.transcribe(entry.audio, entry.language))


class _Served:
    """A server, with the seconds that each of its models computed; some do so at a time."""

    def __init__(self, server: Serving) -> None:
        self._server = server
        self._transcribe = systems.onecard(server.client)

    def __call__(self, entry: Entry) -> Hypothesis:
        before = self._server.times()
        found = self._transcribe(entry.audio, entry.language)
        times = spent(before, self._server.times())
        found.stages.update(
            {name: round(times[name]["compute_s"], 4) for name in STAGES if name in times}
        )
        return found


def _told(name: str, entry: Entry, hypothesis: Hypothesis) -> Score:
    duration_s = len(recordings.read(entry.audio)) / recordings.RATE
    score = report.score(entry, hypothesis, duration_s)
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in score.stages.items())
    print(
        f"  {name}, {entry.id}: {duration_s:.0f} s in {score.seconds:.1f} s "
        f"({duration_s / score.seconds:.1f}x), WER {_rate(score.words):.3f}, "
        f"DER {_rate(score.speakers):.3f}; {stages}",
        flush=True,
    )
    return score


def summary(scores: Mapping[str, Sequence[Score]]) -> dict[str, Any]:
    """The ratio round by round; errors of all rounds together."""
    totals = {name: report.total(side) for name, side in scores.items()}
    ours, theirs = totals["onecard"], totals["whisperx"]
    ratio = spread(ratios(_speeds(scores["onecard"]), _speeds(scores["whisperx"])))
    wer, their_wer = _rate(ours.words), _rate(theirs.words)
    print(
        f"  onecard is {ratio['median']:.2f} times as fast as WhisperX ({ratio['low']:.2f} to "
        f"{ratio['high']:.2f}); WER {wer:.4f} against {their_wer:.4f}, DER "
        f"{_rate(ours.speakers):.3f} against {_rate(theirs.speakers):.3f}",
        flush=True,
    )
    return {
        "speed_ratio": ratio,
        "wer_difference": once(wer - their_wer),
        "audio_s": ours.duration_s,
        "sides": {name: _side(side, totals[name]) for name, side in scores.items()},
    }


def _side(scores: Sequence[Score], total: Score) -> dict[str, Any]:
    rounds = [{"id": one.name, "seconds": one.seconds, "stages": one.stages} for one in scores]
    return {
        "speed": spread(_speeds(scores)),
        "wer": _rate(total.words),
        "der": _rate(total.speakers),
        "rounds": rounds,
    }


def _speeds(scores: Sequence[Score]) -> list[float]:
    """Times real time."""
    return [one.duration_s / one.seconds for one in scores]


def _rate(counts: Counts | None) -> float:
    """Of references that every recording here has."""
    return Counts().rate if counts is None else counts.rate

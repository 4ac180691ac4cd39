"""The TURNS document: who spoke when, in plain JSON values."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.diarization import known
from onecard.options.transcribe import TranscribeOptions

DECIMALS = 3  # of times: milliseconds
EMBEDDING_DECIMALS = 6

Turn = dict[str, Any]


@dataclass(frozen=True)
class Speakers:
    """What a pipeline finds: tracks of (start_s, end_s, label), whatever its labels are."""

    tracks: Sequence[tuple[float, float, Hashable]]  # people may speak at once
    exclusive: Sequence[tuple[float, float, Hashable]]  # one at a time, or nearly
    vectors: Mapping[Hashable, npt.NDArray[Any]]  # of labels


def from_tracks(tracks: Iterable[tuple[float, float, Hashable]], duration_s: float) -> list[Turn]:
    """Turns in order of time from (start_s, end_s, label), inside the audio, empty ones left out.

    pyannote pads the last window, so that a turn may end behind the audio.
    """
    found = []
    for start_s, end_s, label in tracks:
        start_s = round(max(0.0, start_s), DECIMALS)
        end_s = round(min(duration_s, end_s), DECIMALS)
        if start_s < end_s:
            found.append({"start": start_s, "end": end_s, "speaker": label})
    return sorted(found, key=lambda turn: (turn["start"], turn["end"]))


def one_at_a_time(turns: Sequence[Turn]) -> list[Turn]:
    """Ordered turns of which no two overlap: the one that began last has the floor.

    pyannote's exclusive turns do overlap by a little: it fills a speaker's short pauses last,
    over whatever the other one said in them.
    """
    times = sorted({time for turn in turns for time in (turn["start"], turn["end"])})
    waiting = sorted(turns, key=lambda turn: float(turn["start"]), reverse=True)
    active: list[Turn] = []
    found: list[Turn] = []
    for start_s, end_s in pairwise(times):
        active = [turn for turn in active if turn["end"] > start_s]
        while waiting and waiting[-1]["start"] <= start_s:
            active.append(waiting.pop())
        if not active:
            continue
        speaker = active[-1]["speaker"]
        if found and found[-1]["end"] == start_s and found[-1]["speaker"] == speaker:
            found[-1]["end"] = end_s
        else:
            found.append({"start": start_s, "end": end_s, "speaker": speaker})
    return found


def document(
    turns: Sequence[Turn],
    exclusive: Sequence[Turn],
    embeddings: Mapping[Hashable, npt.NDArray[Any]],
    options: TranscribeOptions,
    engine: Mapping[str, Any],
    max_distance: float = known.SMALL_NETWORK,
) -> dict[str, Any]:
    """The TURNS document; speakers become SPEAKER_00, SPEAKER_01, ... as they first appear.

    Those whose voices the options know have their names instead.

    Args:
        turns: who spoke when; people may speak at once.
        exclusive: the same with one speaker at a time, for labelling words; see `one_at_a_time`.
        embeddings: label -> vector, used where the options ask for them; a speaker whose vector
            is not finite (pyannote found too little speech for one) is left out.
        max_distance: between a known voice and a speaker, where the options give none.

    Raises:
        InvalidRequest: known voices of another network.
    """
    names: dict[Hashable, str] = {}
    for turn in [*turns, *exclusive]:
        names.setdefault(turn["speaker"], f"SPEAKER_{len(names):02d}")
    vectors = {
        label: [round(float(x), EMBEDDING_DECIMALS) for x in embeddings[label]]
        for label in names
        if label in embeddings and np.isfinite(embeddings[label]).all()
    }
    people, told = known.find(vectors, options, max_distance)
    names |= people
    return {
        "turns": [{**turn, "speaker": names[turn["speaker"]]} for turn in turns],
        "exclusive": [{**turn, "speaker": names[turn["speaker"]]} for turn in exclusive],
        "speakers": list(names.values()),
        "embeddings": (
            {names[label]: vector for label, vector in vectors.items()}
            if options.speaker_embeddings
            else None
        ),
        "known_speakers": told,
        "engine": dict(engine),
        "warnings": _unmet_bounds(len(names), options),
    }


def not_wanted() -> dict[str, Any]:
    """The TURNS document of a request without diarization."""
    empty: dict[str, Any] = {"exclusive": [], "speakers": [], "engine": {}, "warnings": []}
    return {"turns": None, "embeddings": None, "known_speakers": None, **empty}


def _unmet_bounds(num_found: int, options: TranscribeOptions) -> list[str]:
    low = options.num_speakers or options.min_speakers or 0
    if num_found >= low:
        return []
    return [f"diarization: at least {low} speakers were asked for, {num_found} found"]

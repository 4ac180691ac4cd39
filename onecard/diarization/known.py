"""Voices that a request knows by name, found among the speakers of a recording."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from onecard.errors import InvalidRequest, named
from onecard.options.transcribe import TranscribeOptions

# Cosine distances up to which two voices are one. Of the small network: measured on the meetings
# and the telephone talk among the samples, 2 to 8 s of a voice against the speakers of recordings.
# The same voice was within 0.11 in 10 of 12 pairs; of 154 others the nearest was at 0.18, two
# people on one telephone line. Of WeSpeaker's, which pipelines from a directory have: estimated.
SMALL_NETWORK, PIPELINE = 0.15, 0.5
DECIMALS = 4  # of distances

Label = TypeVar("Label", bound=Hashable)
Voices = Mapping[str, Sequence[float]]


def find(
    vectors: Mapping[Label, Sequence[float]], options: TranscribeOptions, max_distance: float
) -> tuple[dict[Label, str], list[dict[str, Any]] | None]:
    """Names for speakers, and what is told of each known voice.

    The nearest pair is joined first; a speaker has one name, and a name one speaker.

    Args:
        vectors: of the speakers, by their labels.
        max_distance: cosine distance, 0 to 2, where the options give none.

    Returns:
        Names by label, of the speakers that were found. For each known voice its `name`, whether
        it was `found`, its `distance` from the speaker of that name, else from the nearest one
        (null where there is none), and the `max_distance` that held. None without known voices.

    Raises:
        InvalidRequest: a voice has not as many numbers as the speakers have.
    """
    known: Voices | None = options.known_speakers
    if known is None:
        return {}, None
    if options.known_speaker_distance is not None:
        max_distance = options.known_speaker_distance
    distances = _distances(vectors, known)
    labels: dict[str, Label] = {}  # by name
    for (name, label), distance in sorted(distances.items(), key=lambda pair: pair[1]):
        if distance <= max_distance and name not in labels and label not in labels.values():
            labels[name] = label
    told = []
    for name in known:
        near = [one for (other, _), one in distances.items() if other == name]
        nearest = distances[name, labels[name]] if name in labels else min(near, default=None)
        found = {"name": name, "found": name in labels, "distance": nearest}
        told.append({**found, "max_distance": max_distance})
    return {label: name for name, label in labels.items()}, told


def _distances(
    vectors: Mapping[Label, Sequence[float]], known: Voices
) -> dict[tuple[str, Label], float]:
    """The cosine distance of every pair of a name and a label that have one."""
    found = {}
    for name, voice in known.items():
        for label, vector in vectors.items():
            if len(voice) != len(vector):
                raise InvalidRequest(
                    f"the voice {named(name)} in `known_speakers` has {len(voice)} numbers, must "
                    f"have {len(vector)}, as this server's network makes them; ask this server "
                    "for the voice"
                )
            length = _length(voice) * _length(vector)
            if length > 0:  # of digital silence all are zeros
                cosine = float(np.dot(voice, vector)) / length
                found[name, label] = round(max(0.0, 1.0 - cosine), DECIMALS)
    return found


def _length(vector: Sequence[float]) -> float:
    numbers: npt.NDArray[np.float64] = np.asarray(vector, np.float64)
    return float(np.linalg.norm(numbers))

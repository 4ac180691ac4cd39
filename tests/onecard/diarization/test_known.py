"""Known voices among the speakers of a recording."""

from __future__ import annotations

import pytest

from onecard.diarization import known
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions

VECTORS = {"x": [1.0, 0.0, 0.0], "y": [0.0, 2.0, 0.0], "z": [0.0, 0.0, 0.0]}


def asked(voices: dict[str, list[float]], **others: float) -> TranscribeOptions:
    return TranscribeOptions(known_speakers=voices, **others)  # type: ignore[arg-type]


def test_without_known_voices_nothing_is_told() -> None:
    assert known.find(VECTORS, TranscribeOptions(), 0.5) == ({}, None)


def test_a_voice_is_found_however_loud_and_the_others_have_their_distance() -> None:
    names, told = known.find(VECTORS, asked({"Ada": [3.0, 0.0, 0.0], "Bob": [0.0, 1, 1]}), 0.1)
    assert names == {"x": "Ada"}
    assert told == [
        {"name": "Ada", "found": True, "distance": 0.0, "max_distance": 0.1},
        {"name": "Bob", "found": False, "distance": 0.2929, "max_distance": 0.1},
    ]


def test_the_request_s_distance_goes_before_the_network_s() -> None:
    options = asked({"Bob": [0.0, 1, 1]}, known_speaker_distance=0.3)
    names, told = known.find(VECTORS, options, 0.1)
    assert names == {"y": "Bob"}
    assert told is not None
    assert told[0]["max_distance"] == 0.3


def test_the_nearest_pair_is_joined_first_and_each_once() -> None:
    voices = {"Far": [1.0, 0.2, 0.0], "Near": [1.0, 0.1, 0.0]}
    names, told = known.find(VECTORS, asked(voices), 0.5)
    assert names == {"x": "Near"}
    assert told is not None
    assert [one["found"] for one in told] == [False, True]


def test_nobody_has_no_distance() -> None:
    _, told = known.find({"z": VECTORS["z"]}, asked({"Ada": [1.0, 0, 0]}), 0.5)
    assert told == [{"name": "Ada", "found": False, "distance": None, "max_distance": 0.5}]


def test_a_voice_of_another_network_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="has 2 numbers, must have 3"):
        known.find(VECTORS, asked({"Ada": [1.0, 0.0]}), 0.5)

"""The TURNS document."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onecard.diarization import turns
from onecard.options.transcribe import TranscribeOptions


def test_turns_are_ordered_rounded_and_inside_the_audio() -> None:
    tracks = [(4.00049, 9.0, "b"), (-0.1, 1.0, "a"), (5.0, 5.0001, "a"), (6.0, 7.0, "a")]
    assert turns.from_tracks(tracks, 5.0) == [
        {"start": 0.0, "end": 1.0, "speaker": "a"},
        {"start": 4.0, "end": 5.0, "speaker": "b"},
    ]


def test_speakers_are_numbered_as_they_first_appear() -> None:
    spoken = turns.from_tracks([(0, 1, "x"), (1, 2, "a"), (2, 3, "x")], 3.0)
    alone = turns.from_tracks([(0, 1, "x"), (1, 2, "a")], 3.0)
    vectors = {"a": np.array([1.0, 2.0]), "x": np.array([3.0, 4.0])}
    found = turns.document(
        spoken, alone, vectors, TranscribeOptions(speaker_embeddings=True), {"backend": "b"}
    )
    assert [t["speaker"] for t in found["turns"]] == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00"]
    assert [t["speaker"] for t in found["exclusive"]] == ["SPEAKER_00", "SPEAKER_01"]
    assert found["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert found["embeddings"] == {"SPEAKER_00": [3.0, 4.0], "SPEAKER_01": [1.0, 2.0]}


def test_a_vector_that_is_no_number_is_left_out_of_the_json() -> None:
    spoken = turns.from_tracks([(0, 1, "a"), (1, 2, "b")], 3.0)
    vectors = {"a": np.full(2, np.nan), "b": np.ones(2)}
    found = turns.document(spoken, spoken, vectors, TranscribeOptions(speaker_embeddings=True), {})
    assert list(json.loads(json.dumps(found, allow_nan=False))["embeddings"]) == ["SPEAKER_01"]


def test_embeddings_come_only_when_asked_for() -> None:
    spoken = turns.from_tracks([(0, 1, "a")], 3.0)
    found = turns.document(spoken, spoken, {"a": np.ones(2)}, TranscribeOptions(), {})
    assert found["embeddings"] is None


def test_fewer_speakers_than_asked_for_is_said() -> None:
    spoken = turns.from_tracks([(0, 1, "a")], 3.0)
    for options in (TranscribeOptions(num_speakers=2), TranscribeOptions(min_speakers=2)):
        (warning,) = turns.document(spoken, spoken, {}, options, {})["warnings"]
        assert "2 speakers" in warning
        assert "1 found" in warning
    assert turns.document(spoken, spoken, {}, TranscribeOptions(), {})["warnings"] == []


def test_a_turn_inside_another_interrupts_it() -> None:
    spoken = turns.from_tracks([(0, 5, "a"), (2, 2.5, "b"), (4.5, 6, "b")], 9.0)
    assert turns.one_at_a_time(spoken) == [
        {"start": 0, "end": 2, "speaker": "a"},
        {"start": 2, "end": 2.5, "speaker": "b"},
        {"start": 2.5, "end": 4.5, "speaker": "a"},
        {"start": 4.5, "end": 6, "speaker": "b"},
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.sampled_from("ab"))))
def test_one_at_a_time_keeps_every_second_of_speech_and_no_overlap(spans) -> None:
    spoken = turns.from_tracks(
        [(start, start + length, name) for start, length, name in spans], 100.0
    )
    found = turns.one_at_a_time(spoken)
    seconds = [second for t in found for second in range(int(t["start"]), int(t["end"]))]
    assert len(seconds) == len(set(seconds))
    said = {(n, s) for start, length, n in spans for s in range(start, start + length)}
    assert set(seconds) == {second for _, second in said}
    assert {(t["speaker"], int(t["start"])) for t in found} <= said

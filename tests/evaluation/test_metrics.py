"""Errors counted on examples that can be counted by hand, and against jiwer."""

from __future__ import annotations

import math

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import metrics
from evaluation.metrics import Counts, Turn, speaker_errors, start_errors, word_errors
from evaluation.textgrid import WordTime

words = st.lists(st.sampled_from("abcde"), max_size=12).map(" ".join)


@given(reference=words.filter(bool), found=words)
def test_word_errors_are_jiwer_s(reference, found):
    counted = word_errors(reference, found, "xx")
    assert counted.rate == pytest.approx(jiwer.wer(reference, found))


def test_spelling_and_punctuation_are_no_errors():
    assert word_errors("It's twenty-five, Mr. Smith!", "it is 25 mister smith").errors == 0
    assert word_errors("Alright...then", "all right then").errors == 0
    assert word_errors("¿Qué tal?", "qué tal", "es") == Counts(0, 2)
    assert word_errors("東京です。", "東京た", "ja") == Counts(2, 4)


def test_words_between_two_known_stretches_are_free_and_others_are_not():
    parts = ("pears are green", "plums blue")
    assert word_errors(parts, "pears are green and then plums blue").errors == 0
    assert word_errors(parts, "pears green something plums red").errors == 2
    assert word_errors(parts, "once more pears are green plums blue").errors == 2
    assert (
        word_errors(("", *parts, ""), "once more pears are green plums blue and so on").errors == 0
    )
    assert word_errors(parts, "") == Counts(5, 5)


def test_nothing_said_is_nothing_wrong():
    assert math.isnan(word_errors("", "").rate)
    assert word_errors("", "hello") == Counts(1, 0)
    assert Counts(1, 2) + Counts(2, 4) == Counts(3, 6)


def test_starts_are_compared_of_words_that_both_have():
    reference = [WordTime("So", 1.0), WordTime("this", 1.2), WordTime("is", 1.4), WordTime("it", 2)]
    found = [("so,", 1.05), ("that", 1.2), ("is", None), ("IT.", 1.8)]
    errors = start_errors(reference, found, "en")
    assert errors == pytest.approx([0.05, -0.2])
    assert metrics.median_s(errors) == pytest.approx(0.125)
    assert metrics.share_near(errors) == 0.5
    assert math.isnan(metrics.median_s([]))


def test_speakers_names_mean_nothing():
    said = {"anna": "good morning everybody", "ben": "thank you very much"}
    found = {"SPEAKER_01": "good morning everybody", "SPEAKER_00": "thank you very much"}
    assert speaker_errors(said, found, "en") == Counts(0, 7)


def test_words_of_the_wrong_speaker_count_twice():
    said = {"anna": "good morning everybody", "ben": "thank you very much"}
    found = {"x": "good morning everybody thank", "y": "you very much"}
    assert speaker_errors(said, found, "en") == Counts(2, 7)


@pytest.mark.parametrize(
    ("found", "errors"),
    [
        ({"x": "good morning everybody thank you"}, 4),  # ben's are missing, and two are too many
        ({"x": "good morning everybody", "y": "thank you", "z": "very much"}, 4),
        ({}, 5),
    ],
)
def test_numbers_of_speakers_may_differ(found, errors):
    said = {"anna": "good morning everybody", "ben": "thank you"}
    if len(found) == 3:
        said["ben"] = "thank you very much"
    assert speaker_errors(said, found, "en").errors == errors


def test_the_best_assignment_is_not_the_greedy_one():
    said = {"a": "pears are green", "b": "pears are green today"}
    found = {"x": "pears are green", "y": "pears"}  # a-x is exact; with b-y that makes 3
    assert speaker_errors(said, found, "en").errors == 3
    found = {"x": "pears are green", "y": "pears are green and sour too"}
    said = {"a": "pears are green and", "b": "pears are green today"}  # both fit x with one error
    assert speaker_errors(said, found, "en").errors == 3


def test_seconds_of_speakers():
    reference = [Turn(0.0, 4.0, "anna"), Turn(4.0, 8.0, "ben")]
    swapped = [Turn(0.0, 4.0, "1"), Turn(4.0, 8.0, "0")]
    assert metrics.diarization_errors(reference, swapped, 10.0) == Counts(0, 8)
    # A second is missed, one is the wrong one's, and two are invented.
    found = [Turn(1.0, 5.0, "1"), Turn(5.0, 10.0, "0")]
    assert metrics.diarization_errors(reference, found, 10.0) == Counts(4, 8)
    # The last two lie after the end of the audio.
    assert metrics.diarization_errors(reference, found, 8.0) == Counts(2, 8)
    overlap = [*reference, Turn(0.0, 2.0, "ben")]
    assert metrics.diarization_errors(overlap, swapped, 8.0) == Counts(2, 10)


def test_words_by_speaker():
    found = metrics.by_speaker([("Hello", "a"), ("yes", "b"), ("there", "a"), ("uh", None)])
    assert found == {"a": "Hello there", "b": "yes", "": "uh"}

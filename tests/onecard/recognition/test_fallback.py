"""Which attempts will do, and which is the best."""

from __future__ import annotations

import zlib
from functools import partial

import numpy as np
import pytest

from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import fallback
from onecard.recognition.fallback import Attempt, Chunk, Criteria

CRITERIA = Criteria.from_options(TranscribeOptions())
NO_FEATURES = partial(np.zeros, (0, 80), np.float16)
CIRCLES = " Thank you for watching." * 12
# Announcements repeat themselves; so does a text that no decoder ran in circles for.
ANNOUNCEMENTS = " ".join(
    f"Please enter {what} followed by the pound key."
    for what in ("your agent number", "a new extension", "your password", "the channel", "a date",
                 "the conference number", "your zip code", "the number of guests", "your age")
)  # fmt: skip


def chunk(*tried: Attempt) -> Chunk:
    return Chunk(1.0, 2.0, NO_FEATURES, list(tried))


def attempt(text: str, avg_logprob: float = -0.2, temperature: float = 0.0) -> Attempt:
    return Attempt(text, avg_logprob, temperature, is_full=False)


@pytest.mark.parametrize("text", ["", " a", ANNOUNCEMENTS])
def test_compression_ratio_is_openais(text: str) -> None:
    data = text.strip().encode()
    assert attempt(text).compression_ratio == len(data) / len(zlib.compress(data))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CIRCLES, True),
        (" the the the the", True),
        ("ご視聴ありがとうございました。" * 3, True),
        (ANNOUNCEMENTS, False),
        (" Thank you. Thank you.", False),
        (" No, no, no!", False),
        ("", False),
    ],
)
def test_what_runs_in_circles(text: str, expected: bool) -> None:
    assert attempt(text).runs_in_circles is expected


def test_doubts() -> None:
    assert CRITERIA.doubt(chunk(attempt(" Fine."))) is None
    assert "compression ratio" in str(CRITERIA.doubt(chunk(attempt(CIRCLES))))
    assert attempt(ANNOUNCEMENTS).compression_ratio > 2.4
    assert CRITERIA.doubt(chunk(attempt(ANNOUNCEMENTS))) is None
    assert "log-probability -1.50" in str(CRITERIA.doubt(chunk(attempt(" Hm.", -1.5))))
    assert CRITERIA.doubt(chunk(attempt(" "))) == "no text at temperature 0"
    assert CRITERIA.doubt(chunk(attempt(""), attempt("", temperature=0.2))) is None
    assert CRITERIA.doubt(chunk()) is None


def test_improbable_text_in_silence_is_not_tried_again() -> None:
    silent = chunk(attempt(" you", -1.5))
    silent.is_silence = True
    assert CRITERIA.doubt(silent) is None
    assert CRITERIA.is_silent(silent)
    probable = chunk(attempt(" you", -0.5))
    probable.is_silence = True
    assert not CRITERIA.is_silent(probable)


@pytest.mark.parametrize(
    ("vad_score", "is_silence", "expected"),
    [
        (0.02, True, True),  # neither of the two hears speech
        (0.02, False, False),  # faint speech, which Whisper hears
        (0.3, True, True),
        (0.5, True, False),
        (None, True, False),  # it is not known
    ],
)
def test_probable_text_where_nothing_is_heard_is_silence(
    vad_score: float | None, is_silence: bool, expected: bool
) -> None:
    tried = chunk(attempt(" Thank you.", -0.5))
    tried.vad_score, tried.is_silence = vad_score, is_silence
    assert CRITERIA.is_silent(tried) is expected
    assert CRITERIA.is_doubtful_speech(tried, is_last=False) is (vad_score in (0.02, 0.3))


def test_criteria_that_are_off_find_nothing() -> None:
    off = Criteria(None, None, None)
    assert off.doubt(chunk(attempt(CIRCLES, -9.0))) is None


def test_the_best_is_the_last_that_will_do() -> None:
    bad, good = attempt(CIRCLES, -0.1), attempt(" Fine.", -0.7, 0.2)
    assert CRITERIA.best(chunk(bad, good)) is good
    assert CRITERIA.best(chunk()) is None


def test_where_none_will_do_the_most_probable_without_circles_is_best() -> None:
    circles = attempt(CIRCLES, -0.1)
    poor, poorer = attempt(" Hm.", -1.4, 0.2), attempt(" Ehm.", -1.8, 0.4)
    assert CRITERIA.best(chunk(circles, poor, poorer)) is poor
    assert CRITERIA.best(chunk(attempt(CIRCLES, -1.5), circles)) is circles


@pytest.mark.parametrize(
    ("temperature", "step", "expected"),
    [
        (0.0, 0.2, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.5, 0.25, [0.5, 0.75, 1.0]),
        (0.0, None, [0.0]),
        (1.0, 0.2, [1.0]),
    ],
)
def test_temperatures(temperature: float, step: float | None, expected: list[float]) -> None:
    options = TranscribeOptions(temperature=temperature, temperature_increment_on_fallback=step)
    assert fallback.temperatures(options) == expected


@pytest.mark.parametrize("text", [". . . .", " ♪ ♪", "。。。", "…", " - ", ""])
def test_text_without_letters_is_no_text(text: str) -> None:
    assert not attempt(text).has_words
    assert attempt("4.").has_words
    assert attempt("はい。").has_words


PROMPTED = Criteria.from_options(
    TranscribeOptions(initial_prompt="Glossary: Kubernetes, Triton.", hotwords="onecard")
)


@pytest.mark.parametrize(
    ("text", "avg_logprob", "starts_silent", "no_speech_prob", "is_invented"),
    [
        ("Kubernetes, Triton.", -1.3, True, 0.99, True),  # pink noise
        ("Kubernetes, Triton.", -0.99, False, 0.5, True),  # ringing
        ("Triton.", -0.4, True, 0.4, True),
        ("Triton.", -0.4, False, 0.4, False),  # somebody says it
        ("triton", -0.7, True, 0.17, False),
        ("Thank you.", -1.1, True, 0.48, True),  # keys of a telephone
        ("Thank you.", -1.1, True, 0.17, False),
        ("Thank you.", -1.1, False, 0.48, False),
        ("Thank you.", -0.9, True, 0.48, False),
        ("bla bla bla bla bla bla bla bla bla bla bla bla bla", -0.5, True, 0.5, True),
        ("bla bla bla bla bla bla bla bla bla bla bla bla bla", -0.5, True, 0.1, False),
    ],
)
def test_words_where_nobody_speaks_are_invented(
    text: str, avg_logprob: float, starts_silent: bool, no_speech_prob: float, is_invented: bool
) -> None:
    tried = chunk(attempt(text, avg_logprob))
    tried.no_speech_prob, tried.starts_silent = no_speech_prob, starts_silent
    assert PROMPTED.is_invented(tried, tried.attempts[0]) is is_invented

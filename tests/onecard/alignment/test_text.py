"""Words, sentences, numbers, pronunciations, interpolation: the text side of alignment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_scripts.plans import languages
from onecard.alignment import interpolation, loudness, numerals, pronunciation, text
from onecard.alignment.units import Timed, Utterance
from onecard.options.transcribe import TranscribeOptions

whisperx_alignment = pytest.importorskip("whisperx.alignment")
whisperx_utils = pytest.importorskip("whisperx.utils")

# Of the acoustic model (CMU's 39, without stress).
PHONES = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW "
    "V W Y Z ZH"
)
KNOWN = {"cat": "K AE T", "dog": "D AO G", "house": "HH AW S", "usa": "Y UW EH S EY", "'tis": "T"}


def lookup(form: str) -> str | None:
    return KNOWN.get(form)


@given(st.text(), st.sampled_from(["en", "ja", "th", "xx"]))
def test_words_and_sentences_lose_nothing(written, language):
    words = text.split_words(written, language)
    assert all(written[word.start : word.end] == word.text for word in words)
    assert "".join(word.text for word in words) == "".join(written.split())
    spans = text.split_sentences(written, language, words)
    assert [i for span in spans for i in span] == list(range(len(words)))
    assert all(spans)


def test_sentences_know_abbreviations_and_scripts():
    def split(written: str, language: str) -> list[str]:
        words = text.split_words(written, language)
        spans = text.split_sentences(written, language, words)
        return ["".join(words[i].text for i in span) for span in spans]

    assert split(" Mr. Smith left. Why?  He was ill", "en") == ["Mr.Smithleft.", "Why?", "Hewasill"]
    assert split("今日は。元気です。はい", "ja") == ["今日は。", "元気です。", "はい"]
    assert [word.text for word in text.split_words("ที่", "th")] == ["ที่"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0", "zero"), ("21", "twenty one"), ("115", "one hundred fifteen"),
        ("1,250", "one thousand two hundred fifty"), ("1999", "nineteen ninety nine"),
        ("1905", "nineteen oh five"), ("1900", "nineteen hundred"), ("2005", "two thousand five"),
        ("2024", "twenty twenty four"), ("$1999", "one thousand nine hundred ninety nine dollars"),
        ("3.14", "three point one four"), ("5th", "fifth"), ("21st", "twenty first"),
        ("20th", "twentieth"), ("90s", "nineties"), ("50%", "fifty percent"),
        ("007", "zero zero seven"), ("5551234", "five five five one two three four"),
        ("2,000,001", "two million one"), ("999999999999", "nine " * 12),
    ],
)  # fmt: skip
def test_numbers_are_read_aloud(written, said):
    match = numerals.NUMBER.fullmatch(written)
    assert match is not None
    assert numerals.spoken(match) == said.split()


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("Cat,", ["cat"]), ("don\N{RIGHT SINGLE QUOTATION MARK}t", ["don't"]), ("café", ["cafe"]),
        ("'cat'", ["cat"]), ("'Tis", ["'tis"]), ("well-known", ["well", "known"]),
        ("B2B", ["b", "two", "b"]), ("10:30", ["ten", "thirty"]), ("R&D", ["r", "and", "d"]),
        ("USA", ["usa"]), ("NVTX", ["n", "v", "t", "x"]), ("N.V.T.", ["n", "v", "t"]),
        ("♪", []), ("東京", []), ("-", []), ("'", []),
    ],
)  # fmt: skip
def test_words_become_what_is_said(word, forms):
    assert pronunciation.spoken_forms(word, lookup) == forms


@pytest.mark.parametrize(
    ("form", "phones"),
    [
        ("cats", "K AE T S"), ("dogs", "D AO G Z"), ("house's", "HH AW S IH Z"),
        ("cathouse", "K AE T HH AW S"), ("triton", "T R IH T OW N"), ("phone", "F OW N"),
        ("edge", "EH JH"), ("nice", "N IH S"),
    ],
)  # fmt: skip
def test_unknown_words_get_a_pronunciation(form, phones):
    assert pronunciation.pronounce(form, lookup) == phones


@given(st.text("abcdefghijklmnopqrstuvwxyz'", min_size=1, max_size=30))
def test_any_spelling_has_phones_of_the_model(form):
    phones = set(pronunciation.pronounce(form, lookup).split())
    assert phones <= set(PHONES.split())
    assert phones or not form.strip("'")


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 30)), min_size=1, max_size=12),
    st.sampled_from(["nearest", "linear", "ignore"]),
)
def test_interpolation_is_whisperx_s(values, method):
    times = [None if value is None else Timed(value, value + 1, 0.5) for value in values]
    found = interpolation.fill(times, method)
    series = pd.Series([np.nan if value is None else value for value in values], dtype=float)
    theirs = whisperx_utils.interpolate_nans(series, method=method)
    starts = [np.nan if time is None else time.start_s for time in found]
    np.testing.assert_allclose(starts, theirs.to_numpy(), rtol=1e-9)
    assert all(
        time is None or time.is_interpolated == (value is None)
        for time, value in zip(found, values, strict=True)
    )


def test_interpolation_methods_are_those_of_the_options():
    for method in ("nearest", "linear", "ignore"):
        assert TranscribeOptions(interpolate_method=method).interpolate_method == method
        assert interpolation.fill([None], method) == [None]


def tone(seconds: float) -> np.ndarray:
    wave = np.sin(np.arange(int(seconds * 16_000)) * 0.3) * 8_000
    return wave.astype(np.int16)


def test_word_ends_go_back_over_silence_but_not_over_closures():
    silence = np.zeros(16_000, np.int16)
    pcm = np.concatenate([tone(0.5), silence, tone(0.5), silence[:1600], tone(0.4)])
    utterance = Utterance(pcm, 10.0, 10.0 + len(pcm) / 16_000, "a b", "en", ())
    times = [Timed(10.0, 11.5, 0.9), Timed(11.5, 12.1, 0.9), None, Timed(10.7, 11.2, 0.1)]
    first, second, missing, silent = loudness.trim(utterance, times)
    assert first == Timed(10.0, pytest.approx(10.55), 0.9)
    assert second == times[1]
    assert missing is None
    assert silent == times[3]


def test_loudness_without_silence_is_sound_everywhere():
    assert loudness.sounding(tone(1.0)).all()
    assert loudness.sounding(np.zeros(1_000, np.int16)).all()
    assert loudness.sounding(np.zeros(0, np.int16)).shape == (0,)


def test_every_language_of_whisperx_has_a_model():
    named = {language: model.repository for language, model in languages.MODELS.items()}
    assert whisperx_alignment.DEFAULT_ALIGN_MODELS_HF.items() <= named.items()
    # torchaudio's bundles, by the hub's copies of the same weights
    copies = {
        language: bundle.replace("_ASR_BASE_960H", "-base-960h").replace(
            "VOXPOPULI_ASR_BASE_10K_", "wav2vec2-base-10k-voxpopuli-ft-"
        )
        for language, bundle in whisperx_alignment.DEFAULT_ALIGN_MODELS_TORCH.items()
    }
    others = named.keys() - whisperx_alignment.DEFAULT_ALIGN_MODELS_HF.keys()
    assert {language: named[language] for language in others} == {
        language: f"facebook/{copy.lower()}" for language, copy in copies.items()
    }

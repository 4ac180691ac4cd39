"""Documents through the real aligners of the CPU plan, on real speech and on what is none."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecard import alignment
from onecard.alignment.proportional import Proportional
from onecard.alignment.sphinx import Sphinx
from onecard.alignment.units import Failure
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from onecard.whisper.tokenizer import Tokenizer
from tests.onecard.alignment import recorded

CONFIG = alignment.Config(
    ctc_models="none", ctc_preload="none", ctc_max_loaded=1, ctc_batch_size=8, ctc_device="cpu",
    ctc_dtype="float32", pocketsphinx=True, attention_model="engines/cpu/whisper",
    attention_compute_type="int8",
)  # fmt: skip
# PocketSphinx and Whisper's attention on Whisper's own text; measured: 11 ms and 87 %, 91 ms.
MAX_SPHINX_MEDIAN_S, MIN_SPHINX_WITHIN_100_MS = 0.025, 0.75
MAX_ATTENTION_MEDIAN_S = 0.12


@pytest.fixture(scope="module")
def aligners():
    return alignment.load(CONFIG, num_threads=1)


def align(aligners, name: str, options: dict[str, Any] | None = None, **changes: Any):
    job = alignment.Job(
        recorded.pcm(name), recorded.document(name, **changes), TranscribeOptions(**options or {})
    )
    (found,) = alignment.align([job], aligners)
    if isinstance(found, Exception):
        raise found
    verify(found, job)
    return found


def verify(document: dict[str, Any], job: alignment.Job) -> None:
    """The invariants: words are the text, in order, inside segment and audio, always scored."""
    words = [word for segment in document["segments"] for word in segment["words"]]
    written = "".join(segment["text"] for segment in job.document["segments"])
    assert "".join(word["word"] for word in words) == "".join(written.split())
    assert all(0 <= word["score"] <= 1 for word in words)
    timed = [word for word in words if "start" in word]
    assert all(word["start"] <= word["end"] for word in timed)
    for key in ("start", "end"):
        times = [word[key] for word in timed]
        assert times == sorted(times)
    duration_s = len(job.pcm) / 16_000
    for segment in document["segments"]:
        assert 0 <= segment["start"] <= segment["end"] <= duration_s + 0.001
        inner = [word for word in segment["words"] if "start" in word]
        assert all(segment["start"] <= word["start"] for word in inner)
        assert all(word["end"] <= segment["end"] for word in inner)
        joiner = "" if job.document["language"] == "ja" else " "
        assert joiner.join(word["word"] for word in segment["words"]) == segment["text"]
    assert sum(document["aligners"].values()) == len(job.document["segments"])


def words_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [word for segment in document["segments"] for word in segment["words"]]


def test_pocketsphinx_finds_word_starts(aligners):
    errors = np.concatenate(
        [
            recorded.start_errors_s(name, words_of(align(aligners, name)))
            for name in ("cold_corpus", "cold_corpus3")
        ]
    )
    within = np.mean(errors <= 0.1)
    print(f"median {np.median(errors) * 1000:.0f} ms, {within:.0%} of {len(errors)} <= 100 ms")
    assert len(errors) >= 100
    assert np.median(errors) <= MAX_SPHINX_MEDIAN_S
    assert within >= MIN_SPHINX_WITHIN_100_MS


def test_attention_finds_word_starts(aligners):
    others = [aligner for aligner in aligners if aligner.name != "pocketsphinx"]
    errors = []
    for name in ("cold_corpus", "cold_corpus3"):
        found = align(others, name)
        assert found["aligners"] == {"attention": 1}
        errors.append(recorded.start_errors_s(name, words_of(found)))
    median_s = np.median(np.concatenate(errors))
    print(f"median {median_s * 1000:.0f} ms")
    assert median_s <= MAX_ATTENTION_MEDIAN_S


def test_sentences_carry_what_whisperx_gives_them(aligners):
    found = align(aligners, "cold_corpus3")
    sentences = found["segments"]
    assert [sentence["text"] for sentence in sentences][:2] == [
        "All right, so this is the sick corpus.",
        "Hopefully the recording levels are okay.",
    ]
    assert len(sentences) == 6
    assert {sentence["aligner"] for sentence in sentences} == {"pocketsphinx"}
    assert {sentence["avg_logprob"] for sentence in sentences} == {-0.2}
    assert found["aligners"] == {"pocketsphinx": 1}
    assert found["warnings"] == []


@pytest.mark.parametrize("name", ["cold_corpus3", "common_voice_ja_24511055"])
def test_sentences_have_the_figures_of_their_chunk_and_tokens_of_their_own(aligners, name):
    tokenizer = Tokenizer("engines/cpu/whisper/tokenizer.json")
    text = recorded.SEGMENTS[name][3]
    tokens = tokenizer.encode(text)
    letters = tokenizer.num_letters(tokens)
    document = recorded.document(name, tokens=tokens, token_letters=letters)
    for task in ("transcribe", "translate"):
        job = alignment.Job(recorded.pcm(name), document, TranscribeOptions(task=task))
        (found,) = alignment.align([job], aligners[1:])
        sentences = found["segments"]
        assert len(sentences) == (6 if (task, name) == ("transcribe", "cold_corpus3") else 1)
        for sentence in sentences:
            assert tokenizer.decode(sentence["tokens"]).strip() == sentence["text"].strip()
            assert (sentence["compression_ratio"], sentence["temperature"]) == (1.5, 0.0)
            assert "no_speech_prob" not in sentence  # the engine did not tell
        assert [token for sentence in sentences for token in sentence["tokens"]] == tokens


@pytest.mark.parametrize("name", ["common_voice_ja_24511055", "13697_11991_000000"])
def test_other_languages_are_timed_by_attention(aligners, name):
    found = align(aligners, name)
    assert found["aligners"] == {"attention": 1}
    words = words_of(found)
    if name.startswith("common_voice_ja"):
        assert all(len(word["word"]) == 1 for word in words)
    assert np.mean([word["score"] for word in words]) > 0.6
    assert not any("timing" in word for word in words)


def test_wrong_text_falls_back_and_says_so(aligners):
    wrong = (
        " The quarterly revenue of our northern division exceeded every forecast, whereas "
        "logistics costs in Madrid remained flat. Please forward the signed contract to Jennifer."
    )
    found = align(aligners, "cold_corpus", text=wrong)
    assert "pocketsphinx" not in found["aligners"]
    (warning,) = found["warnings"]
    assert "not by `pocketsphinx`" in warning


@pytest.mark.parametrize(
    "written",
    [
        " Zzyzx qwrtpsdf onecard Kubernetes, 1,250.50 & $3 on 5th of May 1999; U.S.A. (50%)",
        " — … 😀 ###",
        " 東京 and Москва",
        "'''' -- ' \" '",
        " <s> </s> [NOISE] <sil> so(2)",
        " <|endoftext|> hello",
        " " + "word " * 600,
        " supercalifragilisticexpialidocious" * 3,
    ],
)
def test_odd_text_is_timed_somehow(aligners, written):
    words = words_of(align(aligners, "cold_corpus3", text=written))
    assert all("start" in word for word in words)


def test_words_without_a_sound_are_interpolated(aligners):
    said = recorded.SEGMENTS["cold_corpus3"][3].replace(" so this", " ♪ so this", 1)
    found = align(aligners, "cold_corpus3", text=said)
    assert found["aligners"] == {"pocketsphinx": 1}
    marked = [word for word in words_of(found) if "timing" in word]
    assert [word["word"] for word in marked] == ["♪"]
    assert marked[0]["timing"] == "interpolated"
    assert marked[0]["score"] == 0
    left = align(aligners, "cold_corpus3", {"interpolate_method": "ignore"}, text=said)
    assert [word for word in words_of(left) if "start" not in word] == [{"word": "♪", "score": 0.0}]


@pytest.mark.parametrize(("start_s", "end_s"), [(3.0, 3.05), (24.6, 60.0), (3.0, 3.0)])
def test_tiny_and_overhanging_segments(aligners, start_s, end_s):
    found = align(aligners, "cold_corpus3", text=" And so on.", start=start_s, end=end_s)
    assert set(found["aligners"]) <= {"proportional", "attention", "none"}


def test_a_segment_beyond_the_audio_keeps_its_words_without_times(aligners):
    found = align(aligners, "cold_corpus3", text=" And so on.", start=40.0, end=42.0)
    assert found["aligners"] == {"none": 1}
    assert all("start" not in word for word in words_of(found))
    assert "no audio" in found["warnings"][0]


def test_a_segment_without_text_has_no_words(aligners):
    found = align(aligners, "cold_corpus3", text="  ")
    assert found["aligners"] == {"none": 1}
    assert words_of(found) == []


@pytest.mark.parametrize("options", [{"align": False}, {"task": "translate"}])
def test_alignment_can_be_off(aligners, options):
    document = recorded.document("cold_corpus")
    job = alignment.Job(recorded.pcm("cold_corpus"), document, TranscribeOptions(**options))
    (found,) = alignment.align([job], aligners)
    (segment,) = found["segments"]
    assert segment["words"] == []
    assert segment["aligner"] == "none"
    assert segment["text"] == document["segments"][0]["text"]
    assert found["aligners"] == {"none": 1}


def test_char_alignments_are_missed_aloud(aligners):
    found = align(aligners, "cold_corpus3", {"return_char_alignments": True})
    assert found["warnings"] == ["`pocketsphinx` times words, not characters: no `chars`"]


def test_one_bad_request_does_not_touch_its_neighbours(aligners):
    good = alignment.Job(
        recorded.pcm("cold_corpus3"), recorded.document("cold_corpus3"), TranscribeOptions()
    )
    bad = dataclasses.replace(good, document={"language": "en", "segments": [{"start": 0}]})
    first, wrong, last = alignment.align([good, bad, good], aligners)
    assert isinstance(wrong, InvalidRequest)
    assert first == last == alignment.align([good], aligners)[0]


class Breaking:
    """An aligner that cannot stand one of the segments it is given."""

    name = "breaking"

    def speaks(self, language: str) -> bool:
        return True

    def align(self, utterances):
        if any("cough" in utterance.text for utterance in utterances):
            raise MemoryError
        return [Failure("it never can") for _ in utterances]


def test_a_broken_aligner_costs_only_its_own_times(aligners, caplog):
    jobs = [
        alignment.Job(recorded.pcm(name), recorded.document(name), TranscribeOptions())
        for name in ("cold_corpus", "cold_corpus3")
    ]
    with caplog.at_level(logging.CRITICAL, "onecard.alignment.documents"):
        found = alignment.align(jobs, [Breaking(), Proportional()])
    assert [document["aligners"] for document in found] == [{"proportional": 1}] * 2
    assert "it never can" in found[0]["warnings"][0]
    assert "it broke" in found[1]["warnings"][0]


@pytest.fixture(scope="module")
def sphinx():
    return Sphinx()


def test_times_do_not_depend_on_what_was_aligned_before(sphinx):
    quiet, loud = (recorded.utterance(name) for name in ("cold_corpus3", "cold_corpus"))
    fresh = Sphinx().align([quiet])
    assert sphinx.align([loud, quiet, loud, quiet])[1::2] == fresh * 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    segments=st.lists(
        st.tuples(st.floats(0, 30), st.floats(0, 6), st.text(max_size=40)), max_size=4
    ),
    language=st.sampled_from(["en", "ja", "xx"]),
    method=st.sampled_from(["nearest", "linear", "ignore"]),
)
def test_any_text_keeps_the_invariants(sphinx, segments, language, method):
    document = recorded.document("cold_corpus3")
    document["language"] = language
    document["segments"] = [
        {"start": start_s, "end": start_s + length_s, "text": written}
        for start_s, length_s, written in segments
    ]
    pcm = recorded.pcm("cold_corpus3")
    for one in document["segments"]:
        job = alignment.Job(
            pcm, {**document, "segments": [one]}, TranscribeOptions(interpolate_method=method)
        )
        (found,) = alignment.align([job], [sphinx, Proportional()])
        assert "".join("".join(w["word"] for w in words_of(found)).split()) == "".join(
            one["text"].split()
        )
        assert all(w["start"] <= w["end"] for w in words_of(found) if "start" in w)

"""Quality through the running server, on real speech: words, times, speakers, languages.

Each threshold is the reference called directly with the same weights, plus the stated margin, or
the figure that `docs/quality.md` records. Figures are printed (`pytest -rP`) so that the table in
the documentation can be made from a test run.
"""

from __future__ import annotations

from dataclasses import asdict

import pytest
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate

from build_scripts.bootstrap import samples
from evaluation import metrics, recordings
from evaluation.metrics import Counts, word_errors
from onecard_client import Client, Transcript
from tests.results import verify
from tests.speakers import Pyannote, annotation, whole

WER_MARGIN = 0.01
DER_MARGIN = 0.005
MAX_DER = 0.3
LANGUAGES = ("en", "fr", "es", "it", "ru")
# Word starts of the embedded English aligner against forced alignment of the true text.
MAX_MEDIAN_START_ERROR_S = 0.03
MIN_WITHIN_100_MS = 0.75
MIN_MATCHED_WORDS = 0.7


@pytest.fixture(scope="module")
def client(server):
    with Client(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    """About 90 s: three speakers, a president, two colds, a telephone exchange."""
    colds = [recordings.dictation(name) for name in ("cold_corpus", "cold_corpus3")]
    parts = [recordings.jfk(), *colds]
    return recordings.compose(
        tmp_path_factory.mktemp("clips") / "english.wav", parts + recordings.prompts("en", 5)
    )


@pytest.fixture(scope="module")
def english_transcript(client, english) -> Transcript:
    return client.transcribe(english.path, language="en")


@pytest.fixture(scope="module")
def faster_whisper():
    """The reference: the same weights, precision and beam, called directly."""
    from faster_whisper import WhisperModel

    return WhisperModel("engines/cpu/whisper", compute_type="int8", cpu_threads=2)


def test_word_errors_are_those_of_faster_whisper(english, english_transcript, faster_whisper):
    segments, _ = faster_whisper.transcribe(str(english.path), language="en", beam_size=5)
    direct = word_errors(english.text, " ".join(s.text for s in segments)).rate
    ours = word_errors(english.text, english_transcript.text).rate
    print(f"WER: onecard {ours:.4f}, faster-whisper {direct:.4f}")
    assert ours <= direct + WER_MARGIN


def test_invariants_hold_on_long_speech(english_transcript):
    verify(english_transcript)
    assert english_transcript.account.dropped_s == 0


@pytest.mark.parametrize("name", ["cold_corpus", "cold_corpus3"])
def test_word_starts_agree_with_forced_alignment(client, name):
    found = client.transcribe(recordings.dictation(name).path, language="en")
    verify(found)
    reference = recordings.reference_words(name)
    words = [(word.word, word.start) for word in found.words]
    errors = metrics.start_errors(reference, words, "en")
    median_s, within = metrics.median_s(errors), metrics.share_near(errors)
    print(f"{name}: median {median_s * 1000:.0f} ms, {within:.0%} of {len(errors)} <= 100 ms")
    assert len(errors) >= MIN_MATCHED_WORDS * len(words)
    assert median_s <= MAX_MEDIAN_START_ERROR_S
    assert within >= MIN_WITHIN_100_MS


@pytest.fixture(scope="module")
def prompts(client, tmp_path_factory) -> dict[str, tuple[recordings.Clip, Transcript]]:
    """Half a minute a language and what the server made of it, without being told the language."""
    folder = tmp_path_factory.mktemp("prompts")
    clips = {
        language: recordings.compose(folder / f"{language}.wav", recordings.prompts(language, 6))
        for language in LANGUAGES
    }
    return {language: (clip, client.transcribe(clip.path)) for language, clip in clips.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_language_is_found_and_every_word_has_a_time(prompts, language):
    _, found = prompts[language]
    verify(found)
    print(f"{language}: found {found.language} ({found.language_probability:.2f})")
    assert found.language == language
    assert found.account.num_words_untimed == 0
    timed_by = {segment.aligner for segment in found.segments}
    assert timed_by <= ({"pocketsphinx", "attention"} if language == "en" else {"attention"})


def test_word_errors_in_five_languages_are_those_of_faster_whisper(prompts, faster_whisper):
    """Summed, because one sentence that either loses is five points of half a minute."""
    ours, direct = Counts(), Counts()
    for language, (clip, found) in prompts.items():
        segments, _ = faster_whisper.transcribe(str(clip.path), language=language, beam_size=5)
        text = " ".join(segment.text for segment in segments)
        one, other = (word_errors(clip.text, said, language) for said in (found.text, text))
        print(f"{language}: WER onecard {one.rate:.3f}, faster-whisper {other.rate:.3f}")
        ours, direct = ours + one, direct + other
    print(f"all: WER onecard {ours.rate:.4f}, faster-whisper {direct.rate:.4f}")
    # Twice the margin of the others. int8 turns what is rounding in float32 (scores equal to 1e-6:
    # tests/onecard/recognition/test_recognizer.py) into other words where the audio is hard, and
    # rounding is the CPU's: of these 380 words onecard had 43 and 44 wrong on two machines,
    # faster-whisper 42 and 39.
    assert ours.rate <= direct.rate + 2 * WER_MARGIN


def test_streamed_and_unary_results_agree(client, prompts):
    clip, unary = prompts["en"]
    *_, streamed = client.transcribe_stream(clip.path, language="en")
    assert isinstance(streamed, Transcript)
    assert word_errors(unary.text, streamed.text).rate <= WER_MARGIN
    assert streamed.turns == unary.turns


def test_speakers_are_those_of_pyannote_called_directly(client, conversation):
    """Nine meetings of half a minute with heavy overlap, and a telephone talk; all of it scored."""
    direct = Pyannote()
    clips = {"sample": conversation}
    clips |= {path.stem: path for path in sorted(samples.folder("meetings").glob("trn*.wav"))}
    references = load_rttm(conversation.with_suffix(".rttm"))
    references |= load_rttm(samples.folder("meetings") / "debug.train.rttm")
    ours, theirs = DiarizationErrorRate(), DiarizationErrorRate()
    for name, path in clips.items():
        pcm = recordings.read(path)
        found = client.transcribe(path, language="en", beam_size=1)
        verify(found)
        turns = annotation([asdict(turn) for turn in found.turns or ()])
        one = ours(references[name], turns, uem=whole(len(pcm)))
        other = theirs(references[name], direct(pcm), uem=whole(len(pcm)))
        print(f"{name}: DER onecard {one:.4f}, pyannote {other:.4f}")
    print(f"all: DER onecard {abs(ours):.4f}, pyannote {abs(theirs):.4f}")
    assert abs(ours) <= abs(theirs) + DER_MARGIN
    assert abs(ours) <= MAX_DER

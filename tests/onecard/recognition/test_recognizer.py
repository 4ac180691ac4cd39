"""Recognition with CTranslate2 for an engine on real speech, and with an engine that misbehaves."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer as ReferenceTokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from evaluation import recordings
from evaluation.metrics import Counts, word_errors
from onecard.audio import to_float
from onecard.detection import detector as detection
from onecard.detection import segmentation, silero
from onecard.errors import InvalidRequest, Unavailable
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition import recognizer as recognition
from onecard.recognition.engine import Answer, Decode, Decoded

CONFIG = parameters.parse(recognition.Config, models.models(resolve("cpu"))["recognize"].parameters)
DIRECTORY = Path(CONFIG.engine_dir)
# WER of faster-whisper on the same chunks with the same options, plus this.
WER_MARGIN = 0.01
ENGLISH = TranscribeOptions(language="en")
NO_FALLBACK = TranscribeOptions(language="en", temperature_increment_on_fallback=None)


@pytest.fixture(scope="module")
def recognizer() -> recognition.Recognizer:
    return recognition.load(CONFIG)


@pytest.fixture(scope="module")
def whisper() -> WhisperModel:
    return WhisperModel(str(DIRECTORY), device="cpu", compute_type="int8", cpu_threads=2)


@pytest.fixture(scope="module")
def exact() -> WhisperModel:
    """In float32: int8 scales activations by their largest, which turns the rounding of features to
    FP16 (1e-6 of the score here) into differences of 0.01, other ones on another CPU.
    """
    return WhisperModel(str(DIRECTORY), device="cpu", compute_type="float32", cpu_threads=2)


@pytest.fixture(scope="module")
def detector() -> detection.Detector:
    network = segmentation.load(DIRECTORY.parent / "segmentation")
    return detection.Detector(segmentation.Segmenter(network, batch_size=8), silero.Silero())


class CTranslate2:
    """The engine's contract on CTranslate2, one request at a time."""

    def __init__(self, model: ctranslate2.models.Whisper, tokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.num_requests = 0

    def __call__(self, requests: Iterable[Decode]) -> Iterator[Answer]:
        for request in requests:
            self.num_requests += 1
            yield self._first(request) if request.max_new_tokens == 1 else self._decode(request)

    def _encode(self, request: Decode) -> ctranslate2.StorageView:
        features = np.ascontiguousarray(request.features.T[None].astype(np.float32))
        return self._model.encode(ctranslate2.StorageView.from_array(features))

    def _first(self, request: Decode) -> Decoded:
        encoded = self._encode(request)
        found = self._model.generate(
            encoded, [list(request.prompt)], max_length=2, return_no_speech_prob=True
        )[0].no_speech_prob
        (name, probability), *_ = self._model.detect_language(encoded)[0]
        may_be_silence = self._tokenizer.no_speech not in request.suppressed
        if may_be_silence and found > (1 - found) * probability:
            return Decoded((self._tokenizer.no_speech,), math.log(found))
        codes = {code: token for token, code in self._tokenizer.languages.items()}
        return Decoded((codes[name[2:-2]],), math.log(probability))

    def _decode(self, request: Decode) -> Decoded:
        sampling = {"beam_size": request.beam_size}
        if request.temperature > 0:
            sampling = {"beam_size": 1, "sampling_topk": 0,
                        "sampling_temperature": request.temperature}  # fmt: skip
        (found,) = self._model.generate(
            self._encode(request), [list(request.prompt)],
            max_length=len(request.prompt) + request.max_new_tokens,
            length_penalty=request.length_penalty, repetition_penalty=request.repetition_penalty,
            suppress_tokens=list(request.suppressed), suppress_blank=request.min_tokens > 0,
            return_scores=True, return_no_speech_prob=True, **sampling,
        )  # fmt: skip
        tokens = tuple(found.sequences_ids[0])
        log_prob = found.scores[0] * len(tokens) ** request.length_penalty
        return Decoded(tokens, log_prob, found.no_speech_prob)


class Script:
    """An engine that answers as told: `answer(request, how many times it was asked for this)`.

    Chunks are told apart by their features; language probes are answered apart.
    """

    def __init__(self, answer: Callable[[int, Decode, int], Answer], first: Answer) -> None:
        self._answer, self._first = answer, first
        self.chunks: list[bytes] = []
        self.asked: list[tuple[int, Decode]] = []
        self.num_probes = 0

    def __call__(self, requests: Iterable[Decode]) -> Iterator[Answer]:
        for request in requests:
            if request.max_new_tokens == 1:
                self.num_probes += 1
                yield self._first
                continue
            key = request.features.tobytes()
            if key not in self.chunks:
                self.chunks.append(key)
            chunk = self.chunks.index(key)
            self.asked.append((chunk, request))
            yield self._answer(chunk, request, sum(seen == chunk for seen, _ in self.asked))


@pytest.fixture(scope="module")
def conversation_pcm(conversation: Path) -> np.ndarray:
    return recordings.read(conversation)


def speech_of(pcm: np.ndarray, *bounds_s: float) -> dict:
    bounds = bounds_s or (0.0, len(pcm) / 16_000)
    pairs = itertools.pairwise(bounds)
    return {"chunks": [{"start": start, "end": end, "regions": []} for start, end in pairs]}


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """Three seconds in which every second differs, for scripted engines."""
    return np.random.default_rng(0).integers(-999, 999, 48_000).astype(np.int16)


THREE = speech_of(np.zeros(0), 0.0, 1.0, 2.0, 3.0)


def said(recognizer, text: str, avg_logprob: float = -0.1) -> Decoded:
    tokens = tuple(recognizer.tokenizer.encode(text))
    return Decoded(tokens, avg_logprob * (len(tokens) + 1))


def english(recognizer, probability: float = 0.9) -> Decoded:
    return Decoded((50_259,), math.log(probability))


# On real speech


def test_text_and_scores_equal_whisperxs_decoding(recognizer, exact) -> None:
    """Greedy, so that nothing but the request decides: same features, prompt and suppression."""
    clip = recordings.jfk()
    found = recognizer.recognize(
        clip.samples, speech_of(clip.samples), TranscribeOptions(language="en", beam_size=1),
        CTranslate2(exact.model, recognizer.tokenizer),
    )  # fmt: skip
    reference = ReferenceTokenizer(exact.hf_tokenizer, True, "transcribe", "en")
    padded = np.pad(to_float(clip.samples), (0, 480_000 - len(clip.samples)))
    features = exact.feature_extractor(padded, padding=0)
    (wanted,) = exact.model.generate(
        ctranslate2.StorageView.from_array(features[None]), [[*reference.sot_sequence, 50_363]],
        beam_size=1, suppress_tokens=list(get_suppressed_tokens(reference, [-1])),
        return_scores=True,
    )  # fmt: skip
    tokens = wanted.sequences_ids[0]
    (segment,) = found["segments"]
    assert segment["text"] == reference.decode(tokens)
    assert segment["avg_logprob"] == pytest.approx(
        wanted.scores[0] * len(tokens) / (len(tokens) + 1), abs=1e-4
    )
    assert word_errors(clip.text, segment["text"]).errors == 0


@pytest.mark.parametrize("options", [{"beam_size": 5}, {"beam_size": 1, "initial_prompt": "Oh."}])
def test_figures_are_faster_whispers(recognizer, exact, options) -> None:
    """Of a whole window: a shorter one it fills up with the features 0, which is no silence."""
    clip = recordings.jfk()
    found = recognizer.recognize(
        clip.samples, speech_of(clip.samples), TranscribeOptions(language="en", **options),
        CTranslate2(exact.model, recognizer.tokenizer),
    )  # fmt: skip
    padded = np.pad(to_float(clip.samples), (0, 480_000 - len(clip.samples)))
    segments, _ = exact.transcribe(padded, language="en", without_timestamps=True, **options)
    (wanted,) = segments
    (segment,) = found["segments"]
    assert segment["tokens"] == [token for token in wanted.tokens if token < 50_257]
    assert len(segment["token_letters"]) == len(segment["tokens"])
    assert segment["temperature"] == wanted.temperature == 0.0
    assert segment["compression_ratio"] == pytest.approx(wanted.compression_ratio)
    assert segment["avg_logprob"] == pytest.approx(wanted.avg_logprob, abs=1e-3)
    assert segment["no_speech_prob"] == pytest.approx(wanted.no_speech_prob, abs=1e-3)
    assert 0 < segment["no_speech_prob"] < 0.2


def test_word_errors_are_no_more_than_faster_whispers(recognizer, whisper, detector) -> None:
    """Same weights and options, on the same chunks of speech."""
    engine = CTranslate2(whisper.model, recognizer.tokenizer)
    clips = [
        recordings.jfk(), recordings.dictation("cold_corpus"), recordings.dictation("cold_corpus3"),
        recordings.dictation("13697_11991_000000", "es"), *recordings.prompts("en", 3),
    ]  # fmt: skip
    our_errors = their_errors = Counts()
    for clip in clips:
        chunks, _ = detector.detect(clip.samples, TranscribeOptions())
        options = TranscribeOptions(language=clip.language)
        found = recognizer.recognize(clip.samples, chunks, options, engine)
        ours = "".join(segment["text"] for segment in found["segments"])
        theirs = ""
        for chunk in chunks["chunks"]:
            samples = clip.samples[int(chunk["start"] * 16_000) : int(chunk["end"] * 16_000)]
            segments, _ = whisper.transcribe(
                to_float(samples), language=clip.language, beam_size=5, without_timestamps=True,
                condition_on_previous_text=False,
            )  # fmt: skip
            theirs += "".join(segment.text for segment in segments)
        our_errors += word_errors(clip.text, ours, clip.language)
        their_errors += word_errors(clip.text, theirs, clip.language)
    print(f"WER {our_errors.rate:.4f}, faster-whisper {their_errors.rate:.4f}")
    assert our_errors.rate <= their_errors.rate + WER_MARGIN


@pytest.mark.parametrize("language", ["es", "ja"])
def test_the_language_is_heard(recognizer, whisper, language: str) -> None:
    name = {"es": "13697_11991_000000", "ja": "common_voice_ja_24511055"}[language]
    pcm = recordings.dictation(name, language).samples
    engine = CTranslate2(whisper.model, recognizer.tokenizer)
    found = recognizer.recognize(pcm, speech_of(pcm), TranscribeOptions(), engine)
    assert found["language"] == language
    assert found["language_probability"] > 0.9
    assert found["warnings"] == []
    assert engine.num_requests == 2


def test_a_part_in_another_language_is_written_in_it(recognizer, whisper) -> None:
    english = recordings.jfk().samples
    spanish = recordings.dictation("13697_11991_000000", "es").samples
    pcm = np.concatenate([english, spanish, english])
    bounds = np.cumsum([0, len(english), len(spanish), len(english)]) / 16_000
    engine = CTranslate2(whisper.model, recognizer.tokenizer)
    found = recognizer.recognize(pcm, speech_of(pcm, *bounds), TranscribeOptions(), engine)
    assert found["language"] == "en"
    assert [segment.get("language") for segment in found["segments"]] == [None, "es", None]
    alone = recognizer.recognize(spanish, speech_of(spanish), TranscribeOptions(), engine)
    assert found["segments"][1]["text"] == alone["segments"][0]["text"]
    part = {**speech_of(spanish), "language": "en"}  # as a later part of a recording comes
    later = recognizer.recognize(spanish, part, TranscribeOptions(), engine)
    assert later["language"] == "en"
    assert [segment["language"] for segment in later["segments"]] == ["es"]
    asked = recognizer.recognize(pcm, speech_of(pcm, *bounds), ENGLISH, engine)
    assert not any("language" in segment for segment in asked["segments"])


def test_options_change_what_is_said(recognizer, whisper) -> None:
    pcm = recordings.jfk().samples[: 5 * 16_000]
    engine = CTranslate2(whisper.model, recognizer.tokenizer)

    def text(**options) -> str:
        asked = TranscribeOptions(language="en", beam_size=1, **options)
        return recognizer.recognize(pcm, speech_of(pcm), asked, engine)["segments"][0]["text"]

    assert "Americans" in text()
    (americans,) = recognizer.tokenizer.encode(" Americans")
    assert "Americans" not in text(suppress_tokens=str(americans))
    assert "americans" in text(initial_prompt="all in lower case, no capitals. my fellow americans")


def test_the_document_is_json_and_names_the_engine(recognizer, whisper, conversation_pcm) -> None:
    engine = CTranslate2(whisper.model, recognizer.tokenizer)
    chunks = speech_of(conversation_pcm, 6.7134, 18.0, 29.9679)
    options = TranscribeOptions(beam_size=1)
    document = recognizer.recognize(conversation_pcm, chunks, options, engine)
    found = json.loads(json.dumps(document))
    assert [(s["start"], s["end"]) for s in found["segments"]] == [(6.713, 18.0), (18.0, 29.968)]
    assert all(segment["text"].startswith(" ") for segment in found["segments"])
    assert found["engine"]["library"] == CONFIG.engine_backend == "ctranslate2"
    assert "CTranslate2 on the CPU" in found["engine"]["backend"]
    assert found["engine"]["beam_size"] == 1
    assert found["retried"] == found["dropped"] == []


# With engines that misbehave


def test_a_failed_chunk_is_tried_twice_then_dropped_with_the_reason(recognizer, noise) -> None:
    def answer(chunk: int, request: Decode, times: int) -> Answer:
        if chunk == 1 or (chunk == 0 and times == 1):
            return RuntimeError("stub died")
        return said(recognizer, f" word {chunk}")

    engine = Script(answer, english(recognizer))
    found = recognizer.recognize(noise, THREE, TranscribeOptions(), engine)
    assert [segment["text"] for segment in found["segments"]] == [" word 0", " word 2"]
    reason = "engine error: stub died"
    assert found["retried"] == [
        {"start": 0.0, "end": 1.0, "reason": reason}, {"start": 1.0, "end": 2.0, "reason": reason},
    ]  # fmt: skip
    assert found["dropped"] == [{"start": 1.0, "end": 2.0, "reason": reason}]
    assert [chunk for chunk, _ in engine.asked] == [0, 1, 2, 0, 1]


def test_an_engine_that_always_fails_is_unavailable(recognizer, noise) -> None:
    engine = Script(lambda *_: RuntimeError("stub died"), english(recognizer))
    with pytest.raises(Unavailable, match=r"on each of 3 chunks.*stub died"):
        recognizer.recognize(noise, THREE, ENGLISH, engine)
    with pytest.raises(Unavailable, match=r"detecting the language.*no engine"):
        recognizer.recognize(noise, THREE, TranscribeOptions(), Script(None, OSError("no engine")))


def test_a_full_engine_is_said_to_be_full(recognizer, noise) -> None:
    def answer(chunk: int, request: Decode, times: int) -> Answer:
        return Unavailable("queue full") if chunk == 2 else said(recognizer, " fine")

    with pytest.raises(Unavailable, match="queue full"):
        recognizer.recognize(noise, THREE, ENGLISH, Script(answer, None))


def test_a_refused_request_is_not_repeated(recognizer, noise) -> None:
    engine = Script(lambda *_: InvalidRequest("too wide"), None)
    with pytest.raises(InvalidRequest, match="too wide"):
        recognizer.recognize(noise, THREE, ENGLISH, engine)
    assert len(engine.asked) == 1


def test_circles_are_tried_again_at_rising_temperatures(recognizer, noise) -> None:
    def answer(chunk: int, request: Decode, times: int) -> Answer:
        if request.temperature < 0.4:
            return said(recognizer, " Thank you for watching." * 12)
        return said(recognizer, f" seed {request.seed}", -0.5 if request.seed == 1 else -0.7)

    engine = Script(answer, None)
    options = TranscribeOptions(language="en", best_of=2)
    found = recognizer.recognize(noise, speech_of(noise), options, engine)
    (segment,) = found["segments"]
    assert (segment["text"], segment["temperature"]) == (" seed 1", 0.4)
    assert [request.temperature for _, request in engine.asked] == [0.0, 0.2, 0.2, 0.4, 0.4]
    assert [entry["reason"][-3:] for entry in found["retried"]] == ["e 0", "0.2"]
    assert engine.num_probes == 0


@pytest.mark.parametrize(("backend", "wanted"), [("tensorrtllm", 1.0), ("ctranslate2", 0.2)])
def test_what_nvidia_says_of_a_sample_passes_no_threshold_by_itself(
    recognizer, noise, backend, wanted
) -> None:
    """Its log-probability is taken after the temperature was applied, and is about 0."""

    def answer(chunk: int, request: Decode, times: int) -> Answer:
        late = {0.0: -1.5, 1.0: -0.9}
        return said(recognizer, " you", late.get(request.temperature, -0.01))

    config = dataclasses.replace(CONFIG, engine_backend=backend)
    made = recognition.Recognizer(recognizer.tokenizer, config, {}, 80)
    engine = Script(answer, english(recognizer, 0.99))
    options = TranscribeOptions(language="en", best_of=1)
    (segment,) = made.recognize(noise, speech_of(noise), options, engine)["segments"]
    assert segment["temperature"] == wanted


def test_improbable_text_is_measured_for_silence(recognizer, noise) -> None:
    def improbable(chunk: int, request: Decode, times: int) -> Answer:
        return said(recognizer, " you", -1.5)

    silence = Script(improbable, Decoded((recognizer.tokenizer.no_speech,), math.log(0.9)))
    found = recognizer.recognize(noise, speech_of(noise), ENGLISH, silence)
    assert found["segments"] == found["retried"] == []
    assert found["dropped"] == [{"start": 0.0, "end": 3.0, "reason": "no speech, probability 0.90"}]
    doubt = Script(improbable, english(recognizer, 0.8))
    found = recognizer.recognize(noise, speech_of(noise), NO_FALLBACK, doubt)
    assert found["segments"][0]["no_speech_prob"] is None  # no more than 0.2, but how much?
    assert (silence.num_probes, doubt.num_probes) == (1, 1)


@pytest.mark.parametrize(("told", "wanted"), [(0.03, 0.03), (None, 0.5), (0.0, 0.0)])
def test_the_engines_own_probability_of_no_speech_is_told_first(
    recognizer, noise, told, wanted
) -> None:
    def improbable(chunk: int, request: Decode, times: int) -> Answer:
        return dataclasses.replace(said(recognizer, " you know", -1.5), no_speech_prob=told)

    half = Script(improbable, Decoded((recognizer.tokenizer.no_speech,), math.log(0.5)))
    options = TranscribeOptions(
        language="en", temperature_increment_on_fallback=None, logprob_threshold=-2.0,
        initial_prompt="you know it",
    )  # fmt: skip
    lenient = {"chunks": [{**speech_of(noise)["chunks"][0], "score": 0.1}]}
    (dropped,) = recognizer.recognize(noise, lenient, options, half)["dropped"]
    assert dropped["reason"] == "no speech, but `you know`"
    options = dataclasses.replace(options, initial_prompt=None)
    (segment,) = recognizer.recognize(noise, lenient, options, half)["segments"]
    assert segment["no_speech_prob"] == pytest.approx(wanted)


def test_what_no_detector_hears_is_silence_however_probable_its_text(recognizer, noise) -> None:
    def thanks(chunk: int, request: Decode, times: int) -> Answer:
        return said(recognizer, " Thank you.", -0.4)

    silence = Script(thanks, Decoded((recognizer.tokenizer.no_speech,), math.log(0.9)))
    scored = [{**one, "score": n / 2} for n, one in enumerate(THREE["chunks"])]
    found = recognizer.recognize(noise, {"chunks": scored}, ENGLISH, silence)
    assert [segment["start"] for segment in found["segments"]] == [1.0, 2.0]
    assert found["dropped"] == [{"start": 0.0, "end": 1.0, "reason": "no speech, probability 0.90"}]
    assert (found["retried"], silence.num_probes) == ([], 1)


def test_chunks_without_text_are_accounted_for(recognizer, noise) -> None:
    engine = Script(lambda *_: said(recognizer, " "), None)
    found = recognizer.recognize(noise, speech_of(noise), ENGLISH, engine)
    assert found["dropped"] == [{"start": 0.0, "end": 3.0, "reason": "no text"}]
    assert found["retried"] == [{"start": 0.0, "end": 3.0, "reason": "no text at temperature 0"}]


def test_text_at_the_token_limit_is_warned_of(recognizer, noise) -> None:
    tokens = tuple(recognizer.tokenizer.encode(" " + " ".join(map(str, range(600)))))[:444]
    found = recognizer.recognize(
        noise, speech_of(noise), NO_FALLBACK, Script(lambda *_: Decoded(tokens, -9.0), None)
    )
    assert "limit of 444 tokens" in found["warnings"][0]


def test_an_uncertain_language_is_voted_on(recognizer, noise) -> None:
    answers = iter([(50_262, 0.4), (50_259, 0.9), (50_259, 0.9)])

    def engine(requests: Iterable[Decode]) -> Iterator[Answer]:
        for request in requests:
            if request.max_new_tokens > 1:
                yield said(recognizer, " fine")
                continue
            assert request.suppressed == (recognizer.tokenizer.no_speech,)
            token, probability = next(answers)
            yield Decoded((token,), math.log(probability))

    found = recognizer.recognize(noise, THREE, TranscribeOptions(), engine)
    assert found["language"] == "en"
    assert found["language_probability"] == pytest.approx(0.6)
    assert next(answers, None) is None


def test_what_is_no_language_falls_back_with_a_warning(recognizer, noise) -> None:
    engine = Script(lambda *_: said(recognizer, " fine"), Decoded((50_364,), math.log(0.9)))
    found = recognizer.recognize(noise, THREE, TranscribeOptions(), engine)
    assert (found["language"], found["language_probability"]) == ("en", None)
    assert "no language was recognized" in found["warnings"][0]
    assert engine.num_probes == 3


def test_no_speech_no_requests(recognizer, noise) -> None:
    found = recognizer.recognize(noise, {"chunks": []}, TranscribeOptions(), Script(None, None))
    assert found["segments"] == found["dropped"] == []
    assert found["warnings"] == ["no speech was found, hence no language"]


@pytest.mark.parametrize(
    ("options", "chunks", "wanted"),
    [
        (TranscribeOptions(beam_size=6), THREE, "built for at most 5"),
        (TranscribeOptions(language="yue"), THREE, "the model knows af"),
        (ENGLISH, speech_of(np.zeros(0), 2.0, 4.0), "PCM has 3.000 s of the clip"),
    ],
)
def test_what_cannot_be_served_is_refused(recognizer, noise, options, chunks, wanted) -> None:
    with pytest.raises(InvalidRequest, match=wanted):
        recognizer.recognize(noise, chunks, options, Script(None, None))


def test_a_chunk_longer_than_the_encoder_is_refused(recognizer) -> None:
    pcm = np.zeros(31 * 16_000, np.int16)
    with pytest.raises(InvalidRequest, match="the encoder takes 30 s"):
        recognizer.recognize(pcm, speech_of(pcm), ENGLISH, Script(None, None))


@pytest.mark.parametrize(
    "speech",
    [
        {},
        {"chunks": None},
        {"chunks": {}},
        {"chunks": [1]},
        {"chunks": [{"start": "0", "end": 1}]},
        {"chunks": [{"start": 0, "end": []}]},
        {"chunks": [{"start": 0}]},
        {"chunks": [{"start": float("nan"), "end": float("inf")}]},
        {"chunks": [{"start": 0, "end": 1e308}]},
        {"chunks": [{"start": 2, "end": 1}]},
        {"chunks": [{"start": 0, "end": 1}], "first_sample": "x"},
        {"chunks": [{"start": 0, "end": 1}], "duration_s": {}},
        {"chunks": [{"start": 0, "end": 1}], "language": 7},
    ],
)
def test_what_is_no_speech_of_this_clip_is_refused(recognizer, noise, speech) -> None:
    engine = Script(lambda *_: said(recognizer, " never"), None)
    with pytest.raises(InvalidRequest):
        recognizer.recognize(noise, speech, TranscribeOptions(), engine)
    assert not engine.asked

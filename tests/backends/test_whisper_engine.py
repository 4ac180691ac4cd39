"""The encoder-decoder engine on real speech, against CTranslate2 and faster-whisper themselves."""

import json
import re
import shutil
from dataclasses import replace

import ctranslate2
import numpy as np
import pytest
import whisper_calls as calls
from faster_whisper import WhisperModel
from tensorrtllm_cpu.contract import settings
from tensorrtllm_cpu.contract.refusal import Refusal
from tensorrtllm_cpu.whisper.engine import WhisperEngine
from tensorrtllm_cpu.whisper.service import Service

from onecard import manifest

HELLO = [2425, 456]  # " Hello there"


@pytest.fixture(scope="module")
def model_settings(config):
    return settings.read(config, 1)


@pytest.fixture(scope="module")
def engine(model_settings):
    return WhisperEngine(model_settings)


@pytest.fixture(scope="module")
def service(engine, model_settings):
    return Service(engine, model_settings, print)


@pytest.fixture(scope="module")
def model(model_settings):
    """CTranslate2 itself."""
    return ctranslate2.models.Whisper(
        str(model_settings.model_path), compute_type="int8", intra_threads=1
    )


def view(features):
    mel = np.ascontiguousarray(features.T[np.newaxis], np.float32)
    return ctranslate2.StorageView.from_array(mel)


def generate(model, features, **options):
    defaults = {
        "beam_size": 1, "suppress_tokens": [], "suppress_blank": False, "return_scores": True,
    }  # fmt: skip
    return model.generate(view(features), [list(calls.PROMPT)], **{**defaults, **options})[0]


def alone(service, features, outputs=calls.OUTPUTS, **more):
    """The output tensors of one request, or its refusal."""
    incoming = calls.Incoming(calls.tensors(features, **more), outputs=outputs)
    return service.answer([incoming])[0]


def tokens(outcome):
    assert not isinstance(outcome, Refusal), outcome
    length = outcome["sequence_length"][0]
    return outcome["output_ids"][0][:length].tolist()


def test_greedy_search_is_ctranslate2s(service, speech, model):
    for features in speech[:2]:
        wanted = generate(model, features, length_penalty=0)
        found = alone(service, features, request_output_len=224, return_log_probs=True)
        assert tokens(found) == wanted.sequences_ids[0]
        assert found["cum_log_probs"][0] == pytest.approx(wanted.scores[0], abs=1e-4)


def test_beam_search_is_ctranslate2s(service, speech, model):
    wanted = generate(
        model, speech[1], beam_size=5, num_hypotheses=5, length_penalty=1, max_length=80
    )
    found = alone(
        service, speech[1], beam_width=5, len_penalty=1.0, request_output_len=40,
        return_log_probs=True,
    )  # fmt: skip
    rows = zip(found["output_ids"].tolist(), found["sequence_length"], strict=True)
    assert [row[:length] for row, length in rows] == wanted.sequences_ids
    total = [s * len(ids) for s, ids in zip(wanted.scores, wanted.sequences_ids, strict=True)]
    assert found["cum_log_probs"].tolist() == pytest.approx(total, abs=1e-3)
    two = alone(service, speech[1], beam_width=5, len_penalty=1.0, num_return_sequences=2)
    assert two["output_ids"].shape[0] == 2


@pytest.mark.parametrize("options", [{"patience": 2.0}, {"no_repeat_ngram_size": 1}])
def test_what_nvidias_backend_does_not_have_is_ctranslate2s(service, speech, model, options):
    beam = {"beam_size": 3, "num_hypotheses": 3, "length_penalty": 1, "max_length": 80}
    wanted = generate(model, speech[1], **beam, **options).sequences_ids[0]
    found = alone(
        service, speech[1], beam_width=3, len_penalty=1.0, request_output_len=40, **options
    )
    assert tokens(found) == wanted
    assert len(set(wanted)) == len(wanted) or "patience" in options


def test_the_words_are_faster_whispers(service, speech, model_settings):
    """By the suppression that faster-whisper applies, as `recognize` asks for it."""
    model = WhisperModel(str(model_settings.model_path), compute_type="int8", cpu_threads=1)
    encoded = model.encode(speech[2].T.astype(np.float32))
    wanted = model.model.generate(
        encoded, [list(calls.PROMPT)], beam_size=1, suppress_blank=True, suppress_tokens=[-1]
    )[0]
    document = json.loads((model_settings.model_path / "config.json").read_text())
    suppressed = document["suppress_ids"]
    words = [suppressed, list(range(1, len(suppressed) + 1))]
    found = alone(service, speech[2], bad_words_list=words, min_tokens=1)
    assert tokens(found) == wanted.sequences_ids[0]


def test_token_log_probs_add_up_to_all_but_the_end(service, speech):
    outputs = (*calls.OUTPUTS, "output_log_probs", "generation_logits")
    found = alone(service, speech[1], outputs, return_log_probs=True, return_generation_logits=True)
    logits = found["generation_logits"][0].astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    with_end = [*tokens(found), calls.END]
    chosen = [row[token] for row, token in zip(log_probs, with_end, strict=True)]
    assert found["output_log_probs"][0].tolist() == pytest.approx(chosen[:-1], abs=1e-4)
    assert found["cum_log_probs"][0] == pytest.approx(sum(chosen), abs=1e-3)


def mixed_requests(speech):
    """Requests that differ in audio, prompt and options: what real traffic looks like."""
    previous = [calls.PREVIOUS, 316, 2593, 818, 466, 1873, 16601, 13, *calls.PROMPT]
    spanish = [calls.START, calls.SPANISH, calls.TRANSCRIBE, calls.NO_TIMESTAMPS]
    whole, first, second, third = speech
    return [
        calls.tensors(whole),
        calls.tensors(first, return_log_probs=True),
        calls.tensors(second, beam_width=3, return_log_probs=True),
        calls.tensors(third, decoder_input_ids=previous),
        calls.tensors(second, decoder_input_ids=spanish),
        calls.tensors(first, decoder_input_ids=[*calls.PROMPT, *HELLO]),
        calls.tensors(first, request_output_len=5),
        calls.tensors(first, bad_words_list=[[2425], [1]]),
        calls.tensors(first, decoder_input_ids=list(calls.PROMPT[:3])),  # with timestamps
        calls.tensors(second, decoder_input_ids=[calls.START], request_output_len=1),
        calls.tensors(first, runtime_top_p=1.0, temperature=0.8, seed=11),
        calls.tensors(third, repetition_penalty=1.3),
        calls.tensors(third, no_repeat_ngram_size=1),
        calls.tensors(third),
    ]


def test_each_request_of_a_mixed_call_gets_what_it_gets_alone(service, speech):
    """Whoever it waits with, and with a bad one among them."""
    requests = mixed_requests(speech)
    expected = [service.answer([calls.Incoming(inputs)])[0] for inputs in requests]
    bad = calls.tensors(speech[1], decoder_input_ids=[*calls.PROMPT, 60_000])
    together = service.answer(
        [calls.Incoming(inputs) for inputs in [*requests[:5], bad, *requests[5:]]]
    )
    refused = together.pop(5)
    assert isinstance(refused, Refusal)
    assert "`60000`, must lie in [0, 51865)" in str(refused)
    for found, wanted in zip(together, expected, strict=True):
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value)


def test_like_requests_run_as_one_batch_within_the_kv_cap(engine, model_settings, speech):
    sizes = []
    generate = engine.generate

    def counted(jobs):
        sizes.append(len(jobs))
        return generate(jobs)

    engine.generate = counted
    try:
        for max_kv_tokens, wanted in ((6000, [4]), (4500, [3, 1]), (None, [4])):
            sizes.clear()
            capped = replace(model_settings, max_kv_tokens=max_kv_tokens)
            incoming = [calls.Incoming(calls.tensors(features)) for features in speech]
            outcomes = Service(engine, capped, print).answer(incoming)
            assert all(tokens(outcome) for outcome in outcomes)
            assert sizes == wanted
    finally:
        del engine.generate


def test_a_seed_repeats_and_another_differs(service, speech):
    def draw(seed):
        return tokens(alone(service, speech[0], runtime_top_p=1.0, temperature=1.0, seed=seed))

    assert draw(7) == draw(7) != draw(8)


def test_temperature_0_is_greedy(service, speech):
    greedy = tokens(alone(service, speech[1]))
    assert tokens(alone(service, speech[1], runtime_top_p=1.0, temperature=0.0)) == greedy
    assert tokens(alone(service, speech[1], runtime_top_k=1, temperature=0.9)) == greedy


def test_the_language_is_the_first_token(service, speech, model):
    outputs = (*calls.OUTPUTS, "generation_logits")
    found = alone(
        service, speech[0], outputs, decoder_input_ids=[calls.START], request_output_len=1,
        return_log_probs=True, return_generation_logits=True,
    )  # fmt: skip
    assert tokens(found) == [calls.ENGLISH]
    probabilities = np.exp(found["generation_logits"][0, 0].astype(np.float64))
    assert probabilities.sum() == pytest.approx(1, abs=1e-3)
    assert probabilities[calls.ENGLISH] == pytest.approx(np.exp(found["cum_log_probs"][0]))
    among_languages = probabilities / (1 - probabilities[calls.NO_SPEECH])
    token, wanted = model.detect_language(view(speech[0]))[0][0]
    assert token == "<|en|>"
    assert among_languages[calls.ENGLISH] == pytest.approx(wanted, abs=1e-4)


def test_silence_is_no_speech(service):
    pcm_silence = np.full((3000, calls.N_MELS), -1.5, np.float16)  # log10(1e-10) / 4 + 1
    outputs = (*calls.OUTPUTS, "generation_logits")
    first_token = {"decoder_input_ids": [calls.START], "request_output_len": 1}
    found = alone(service, pcm_silence, outputs, **first_token, return_generation_logits=True)
    assert np.exp(found["generation_logits"][0, 0, calls.NO_SPEECH]) > 0.5


def test_the_probability_of_no_speech_is_ctranslate2s(service, speech, model):
    silent = np.full((3000, calls.N_MELS), -1.5, np.float16)
    told = (*calls.OUTPUTS, "no_speech_prob")
    wanted = [
        generate(model, features, return_no_speech_prob=True, max_length=8).no_speech_prob
        for features in (speech[1], silent)
    ]
    assert wanted[0] < 0.2 < 0.5 < wanted[1]
    asked = [
        calls.Incoming(calls.tensors(features, request_output_len=4), outputs=outputs)
        for features, outputs in ((speech[1], told), (silent, told), (speech[1], calls.OUTPUTS))
    ]
    first, second, third = service.answer(asked)
    assert first["no_speech_prob"].shape == (1,)
    assert first["no_speech_prob"][0] == pytest.approx(wanted[0], abs=1e-4)
    assert second["no_speech_prob"][0] == pytest.approx(wanted[1], abs=1e-4)
    assert set(third) == {"output_ids", "sequence_length"}
    assert tokens(third) == tokens(first)


def test_forced_text_is_neither_repeated_nor_counted(service, speech):
    prompt = [*calls.PROMPT, *HELLO]
    found = alone(service, speech[1], decoder_input_ids=prompt, return_num_output_tokens=True,
                  outputs=(*calls.OUTPUTS, "num_output_tokens"))  # fmt: skip
    assert tokens(found)[: len(HELLO)] != HELLO
    assert found["num_output_tokens"] == [len(tokens(found))]


PREVIOUS_TEXT = [calls.PREVIOUS, *[2425] * 40]


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        (calls.PROMPT, 3),
        ([*calls.PROMPT, *HELLO], 30),
        ([*PREVIOUS_TEXT, *calls.PROMPT], 3),
        ([*PREVIOUS_TEXT, *calls.PROMPT, *HELLO], 60),
    ],
)
def test_the_output_length_is_exact(service, speech, prompt, asked):
    """The end is suppressed, so that only the length can end it."""
    endless = {"decoder_input_ids": prompt, "bad_words_list": [[calls.END], [1]]}
    assert len(tokens(alone(service, speech[1], **endless, request_output_len=asked))) == asked


def test_the_output_length_is_clamped_to_the_longest_sequence(service, speech):
    prompt = [*PREVIOUS_TEXT, *calls.PROMPT, *HELLO]
    endless = {"decoder_input_ids": prompt, "bad_words_list": [[calls.END], [1]]}
    found = alone(service, speech[1], **endless, request_output_len=1000)
    assert len(tokens(found)) == 448 - len(prompt)


def test_it_ends_with_a_stop_word(service, speech):
    whole = tokens(alone(service, speech[1]))
    word = whole[3:5]
    found = tokens(alone(service, speech[1], stop_words_list=[word, [2, -1]]))
    assert found == whole[:5]


def test_short_features_are_filled_up_with_silence(service, speech):
    words = tokens(alone(service, speech[1][:1000]))
    assert 16601 not in words  # nothing of the next 10 s
    assert {7751, 456} <= set(words)  # " hello" ... " there"


EXECUTOR = "Executor failed process requestId \\d+ due to the following error: "


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"end_id": None}, "UNSUPPORTED", "`end_id` is `not set`.*send `50257`"),
        ({"end_id": 60_000}, "INTERNAL",
         EXECUTOR + r".*EndId \(60000\) is not within acceptable range \[-1, 51865\)"),
        ({"beam_width": 6}, "INTERNAL",
         EXECUTOR + ".*Requested beam width 6 is larger than configured max beam width 5"),
        ({"decoder_input_ids": [calls.START] * 448}, "INTERNAL",
         EXECUTOR + r".*Prompt length \(448\) exceeds maximum input length \(447\)"),
        ({"decoder_input_ids": [1, 2]}, "INVALID_ARG", "must hold <.startoftranscript.>"),
        ({"decoder_input_ids": [-1, *calls.PROMPT]}, "INVALID_ARG", "holds `-1`"),
        ({"decoder_input_ids": [calls.START, calls.ENGLISH]}, "UNSUPPORTED", "language and task"),
        ({"decoder_input_ids": [calls.START]}, "UNSUPPORTED", "ask for 1 token"),
        ({"encoder_output_lengths": 3000}, "INVALID_ARG", "must be `1500`"),
        ({"encoder_output_lengths": None}, "INVALID_ARG", "is `not set`, must be `1500`"),
        ({"request_output_len": 0}, "INTERNAL", "`request_output_len` is `0`"),
        ({"bad_words_list": [[1, 2], [2, -1]]}, "UNSUPPORTED", "`bad_words_list`.*one token"),
        ({"bad_words_list": [[99_999], [1]]}, "INVALID_ARG", "`bad_words_list` holds `99999`"),
        ({"runtime_top_k": 5, "runtime_top_p": 0.5}, "UNSUPPORTED", "`runtime_top_p` is `0.5`"),
        ({"min_tokens": 3}, "UNSUPPORTED", "`min_tokens` is `3`.*send 0 or 1"),
        ({"num_return_sequences": 2}, "UNSUPPORTED", "`num_return_sequences`"),
        ({"presence_penalty": 0.5}, "UNSUPPORTED", "`presence_penalty` is `0.5`.*send `0`"),
        ({"early_stopping": True}, "UNSUPPORTED", "`early_stopping`.*leave it out"),
        ({"lora_task_id": 1}, "UNSUPPORTED", "`lora_task_id`"),
        ({"return_context_logits": True}, "UNSUPPORTED", "`return_context_logits`"),
        ({"beam_width": 2, "runtime_top_k": 9}, "UNSUPPORTED", "`beam_width` is `2`.*send 1"),
        ({"beam_width": 2, "return_generation_logits": True}, "UNSUPPORTED", "`return_gen"),
        ({"stop": True}, "INTERNAL", "request ID is not provided"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(service, speech, change, code, message):
    refused = alone(service, speech[1], **change)
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert re.search(message, str(refused)), refused


@pytest.mark.parametrize(
    "neutral",
    [
        {"presence_penalty": 0.0}, {"runtime_top_p_decay": 1.0}, {"return_perf_metrics": False},
        {"embedding_bias": []}, {"streaming": False, "stop": False}, {"seed": 3},
    ],
)  # fmt: skip
def test_an_input_that_asks_for_nothing_changes_nothing(service, speech, neutral):
    assert tokens(alone(service, speech[1], **neutral)) == tokens(alone(service, speech[1]))


def test_features_are_verified(service, speech):
    long = np.concatenate([speech[1], speech[1][:1]])
    message = "Encoder length (3001) exceeds maximum encoder input length (3000)"
    assert message in str(alone(service, long))
    assert "100 frames of 128 bins" in str(alone(service, np.zeros((100, 128), np.float16)))
    broken = speech[1].copy()
    broken[7, 7] = np.nan
    assert "not finite" in str(alone(service, broken))


def test_the_caller_who_left_is_not_waited_for(service, speech):
    incoming = [calls.Incoming(calls.tensors(features)) for features in speech[:3]]
    incoming[1].cancelled = True
    outcomes = service.answer(incoming)
    assert outcomes[1].code == "CANCELLED"
    assert tokens(outcomes[0])
    assert tokens(outcomes[2])


def test_stop_ends_the_waiting_request_of_its_id_and_no_other(service, speech):
    incoming = [
        calls.Incoming(calls.tensors(speech[1]), "7"),
        calls.Incoming(calls.tensors(speech[2]), "8"),
        calls.Incoming(calls.tensors(speech[1], stop=True), "7"),
        calls.Incoming(calls.tensors(speech[1], stop=True), "unknown"),
    ]
    stopped, other, *answers = service.answer(incoming)
    assert tokens(stopped) == []
    assert tokens(other)
    assert answers == [{}, {}]


def test_an_engine_that_fails_fails_one_request(engine, model_settings, speech):
    generate = engine.generate

    def failing(jobs):
        if any(job.request.sampling.repetition_penalty == 2 for job in jobs):
            raise RuntimeError("out of memory")
        return generate(jobs)

    engine.generate = failing
    together, engine.together = engine.together, lambda job: 0
    try:
        incoming = [
            calls.Incoming(calls.tensors(speech[1])),
            calls.Incoming(calls.tensors(speech[2], repetition_penalty=2.0)),
            calls.Incoming(calls.tensors(speech[3])),
        ]
        first, failed, last = Service(engine, model_settings, print).answer(incoming)
    finally:
        del engine.generate, engine.together
        assert engine.together == together
    assert tokens(first)
    assert tokens(last)
    assert "Encountered an error in forwardAsync function: out of memory" in str(failed)


def test_the_kv_cap_bounds_beams_and_has_to_hold_a_segment(engine, model_settings, speech):
    small = replace(model_settings, max_kv_tokens=1600)
    capped = Service(WhisperEngine(small), small, print)
    assert tokens(alone(capped, speech[1], beam_width=3, request_output_len=400))
    refused = alone(capped, speech[1], beam_width=5, request_output_len=400)
    assert "maxTokensInPagedKvCache (1600) must be large enough" in str(refused)
    with pytest.raises(settings.SettingsError, match=r"\(1000\) must be large enough .*1500"):
        WhisperEngine(replace(model_settings, max_kv_tokens=1000))


def test_the_attention_window_is_the_longest_sequence(model_settings, speech):
    narrow = replace(model_settings, max_attention_window=20)
    found = alone(Service(WhisperEngine(narrow), narrow, print), speech[0])
    assert len(tokens(found)) == 20 - len(calls.PROMPT)


def test_token_log_probs_need_them_unnormalized(engine, model_settings, speech):
    usual = replace(model_settings, normalize_log_probs=True)
    service = Service(WhisperEngine(usual), usual, print)
    outputs = (*calls.OUTPUTS, "output_log_probs")
    refused = alone(service, speech[1], outputs, return_log_probs=True)
    assert "`normalize_log_probs` to false" in str(refused)
    assert tokens(alone(service, speech[1], return_log_probs=True))


def test_a_corrupted_or_missing_file_does_not_load(model_settings, tmp_path):
    broken = tmp_path / "whisper"
    shutil.copytree(model_settings.model_path, broken)
    with (broken / "model.bin").open("r+b") as file:
        file.seek(1000)
        file.write(b"garbage")
    with pytest.raises(manifest.ManifestError, match=r"model\.bin.*sha256"):
        WhisperEngine(replace(model_settings, model_path=broken))
    (broken / "vocabulary.json").unlink()
    (broken / "model.bin").unlink()
    with pytest.raises(manifest.ManifestError, match="is missing"):
        WhisperEngine(replace(model_settings, model_path=broken))


def test_a_compute_type_that_the_processor_lacks_is_named(model_settings):
    with pytest.raises(settings.SettingsError, match="`float16`, this processor supports"):
        WhisperEngine(replace(model_settings, compute_type="float16"))

"""The contract's halves without an engine: configuration, tensors in, tensors out, batches."""

import copy

import numpy as np
import pytest
import whisper_calls as calls
from tensorrtllm_cpu.contract import answer, request, settings
from tensorrtllm_cpu.contract.refusal import Refusal
from tensorrtllm_cpu.whisper import batches

from onecard.contract import trtllm

FEATURES = np.zeros((3000, calls.N_MELS), np.float16)


def changed(config, **texts):
    """The configuration with parameters set, or taken out where None."""
    found = copy.deepcopy(config)
    for key, text in texts.items():
        found["parameters"].pop(key, None)
        if text is not None:
            found["parameters"][key] = {"string_value": text}
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gpt_model_type": None}, "Cannot find parameter with name: gpt_model_type"),
        ({"tokenizer_dir": None}, "Cannot find parameter with name: tokenizer_dir"),
        ({"guided_decoding_backend": None}, "name: guided_decoding_backend"),
        ({"gpt_model_type": "V1"}, "must be one of inflight_fused_batching, inflight_batching"),
        ({"gpt_model_path": ""}, "Both encoder and decoder model paths are empty"),
        ({"cross_kv_cache_fraction": None}, "Must set crossKvCacheFraction"),
        ({"encoder_model_path": None}, "Do not set crossKvCacheFraction"),
        ({"kv_cache_free_gpu_mem_fraction": "1.0"}, r"is `1.0`, must be in \[0, 1\)"),
        ({"max_beam_width": "many"}, "`max_beam_width` is `many`, must be a whole number"),
        ({"exclude_input_in_output": "yes"}, "is `yes`, must be true or false"),
        ({"decoding_mode": "medusa"}, "`decoding_mode` is `medusa`; the CPU engine knows"),
        ({"max_beam_with": "5"}, "`max_beam_with` is not one of"),
    ],
)
def test_a_configuration_that_cannot_be_served_does_not_load(config, change, message):
    with pytest.raises(settings.SettingsError, match=message):
        settings.read(changed(config, **change), 1)


def test_the_machine_s_owner_decides_whom_it_yields_to(config, monkeypatch):
    polite = changed(config, cpu_nice="10")
    monkeypatch.delenv(settings.NICE, raising=False)
    assert settings.read(polite, 1).nice == 10
    monkeypatch.setenv(settings.NICE, "0")
    assert settings.read(polite, 1).nice == 0
    monkeypatch.setenv(settings.NICE, "high")
    with pytest.raises(settings.SettingsError, match="`ONECARD_CPU_NICE` is `high`"):
        settings.read(polite, 1)


def test_settings_follow_nvidias_syntax_and_defaults(config):
    texts = {
        "max_attention_window_size": "448,300", "exclude_input_in_output": "1",
        "normalize_log_probs": "${normalize_log_probs}", "max_beam_width": None,
        "cpu_compute_type": None, "cuda_graph_mode": "true",
    }  # fmt: skip
    found = settings.read(changed(config, **texts), 2)
    assert found.max_attention_window == 300
    assert found.exclude_input_in_output is True
    assert found.normalize_log_probs is True  # a template that nobody filled is unset
    assert found.max_beam_width == 1
    assert found.compute_type == "int8"
    assert found.without_effect == ("cuda_graph_mode", "kv_cache_free_gpu_mem_fraction")


def test_a_gpu_configuration_can_name_a_model_for_the_cpu(config):
    texts = {"gpt_model_path": "engines/rtx3090/whisper/decoder", "cpu_model_path": "elsewhere"}
    assert str(settings.read(changed(config, **texts), 1).model_path) == "elsewhere"


def read(config, outputs=calls.OUTPUTS, **more):
    model = settings.read(config, 1)
    return request.read(calls.tensors(FEATURES, **more), frozenset(outputs), model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder_input_features": None}, "input_ids or encoder_input_features is not present"),
        ({"request_output_len": None}, "request_output_len is not present in the request"),
        ({"input_lengths": None}, "input_lengths is not present in the request"),
        ({"streaming": True}, "Streaming is only supported .* decoupled mode"),
        ({"beam_width": 0}, "`beam_width` is `0`, must be at least 1"),
        ({"temperature": -1.0}, "`temperature` is `-1.0`"),
        ({"temperature": float("nan")}, "`temperature` is `nan`"),
        ({"temperature": float("inf")}, "`temperature` is `inf`"),
        ({"runtime_top_p": float("nan")}, "`runtime_top_p` is `nan`"),
        ({"runtime_top_p": -1.0}, "`runtime_top_p` is `-1.0`"),
        ({"runtime_top_p": float("inf")}, "`runtime_top_p` is `inf`"),
        ({"len_penalty": float("nan")}, "`len_penalty` is `nan`"),
        ({"presence_penalty": float("-inf")}, "`presence_penalty` is `-inf`"),
        ({"beam_width": 2, "num_return_sequences": 3}, "must be from 1 to the beam width 2"),
        ({"end_id": [1, 2]}, "Invalid size for tensor end_id"),
        ({"bad_words_list": [[5, 6], [2, 2]]}, "non-increasing offsets"),
        ({"bad_words_list": [[5, 6], [3, -1]]}, "out-of-bound offsets"),
        ({"stop_words_list": [[5, 6, 7], [1, -1, 2]]}, "additional -1s"),
    ],
)
def test_a_malformed_request_is_refused(config, change, message):
    with pytest.raises(Refusal, match=message) as caught:
        read(config, **change)
    assert caught.value.code == "INTERNAL"


def test_one_request_carries_one_item(config):
    two = {name: np.concatenate([value] * 2) for name, value in calls.tensors(FEATURES).items()}
    with pytest.raises(Refusal, match="Batch size > 1 requires"):
        request.read(two, frozenset(calls.OUTPUTS), settings.read(config, 1))


@pytest.mark.parametrize("missing", trtllm.REQUIRED_OUTPUTS)
def test_both_required_outputs_have_to_be_asked_for(config, missing):
    outputs = [name for name in calls.OUTPUTS if name != missing]
    with pytest.raises(Refusal, match=f"{missing} tensor must be present in list of output"):
        read(config, outputs)


def test_words_are_read_from_two_rows(config):
    found = read(config, bad_words_list=[[7, 8, 9, 0], [1, 3, -1, -1]])
    assert found.bad_words == ((7,), (8, 9))
    assert found.stop_words == ()


def test_neither_top_k_nor_top_p_means_greedy(config):
    assert read(config, temperature=0.7).sampling.top_k == 1
    assert read(config, runtime_top_p=1.0).sampling.top_k == 0
    assert read(config, runtime_top_k=40).sampling.top_k == 40


def test_without_a_prompt_generation_starts_from_the_padding(config):
    assert read(config, decoder_input_ids=None).prompt == (calls.END,)


def test_beams_are_padded_and_the_prompt_is_there_unless_excluded(config):
    found = answer.Answer(((1, 2, 3), (4,)), (-1.0, -2.0))
    excluded = answer.outputs(found, read(config, beam_width=2, return_log_probs=True))
    assert excluded["output_ids"].tolist() == [[1, 2, 3], [4, -1, -1]]
    assert excluded["sequence_length"].tolist() == [3, 1]
    assert excluded["cum_log_probs"].tolist() == [-1, -2]
    whole = answer.outputs(found, read(config, beam_width=2, exclude_input_in_output=False))
    assert whole["output_ids"][1].tolist() == [*calls.PROMPT, 4, -1, -1]
    assert whole["sequence_length"].tolist() == [7, 5]
    assert "cum_log_probs" not in whole


def test_batches_keep_order_size_and_capacity():
    costs = {"a": (4, 1), "b": (4, 1), "c": (9, 1), "d": (1, 1), "e": (1, 1), "f": (1, 1)}
    assert batches.fitted("abcdef", costs.__getitem__, 8, 3) == [["a", "b"], ["c"], [*"def"]]
    assert batches.fitted("abcdef", costs.__getitem__, None, 4) == [[*"abcd"], [*"ef"]]
    assert batches.grouped("banana", str) == [["b"], ["a"] * 3, ["n"] * 2]

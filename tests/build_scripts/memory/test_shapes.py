"""Dimensions against what others count: published numbers of parameters and sizes in logs."""

from __future__ import annotations

import pytest

from build_scripts.errors import PlanError
from build_scripts.memory import shapes

MIB, GIB = 2**20, 2**30

# The number of parameters that each model's Hugging Face page states.
PUBLISHED = {
    "mistral-small-24b": 23_572_403_200,
    "mistral-nemo-12b": 12_247_782_400,
    "mistral-7b": 7_248_023_552,
    "llama-3.1-8b": 8_030_261_248,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
}


@pytest.mark.parametrize("name", shapes.LLMS)
def test_an_llm_has_as_many_parameters_as_published(name: str) -> None:
    assert shapes.llm(name).parameters.total == PUBLISHED[name]


def test_24b_at_4_bit_with_group_scales_and_zeros() -> None:
    parameters = shapes.llm("mistral-small-24b").parameters
    num_bytes = parameters.linear_bytes("int4_awq") + parameters.rest_bytes
    assert num_bytes / GIB == pytest.approx(13.50, abs=0.005)
    assert parameters.embedding == parameters.lm_head == 131072 * 5120


def test_24b_takes_160_kib_of_kv_cache_a_token() -> None:
    assert shapes.llm("mistral-small-24b").kv_bytes_per_token == 163_840
    assert shapes.whisper("large-v3").kv_bytes_per_token == 163_840


def test_whisper_has_the_parameters_that_transformers_counts() -> None:
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    for name, shape in shapes.WHISPERS.items():
        config = WhisperConfig(
            vocab_size=shape.vocab, num_mel_bins=shape.num_mels, d_model=shape.width,
            encoder_layers=shape.encoder_layers, decoder_layers=shape.decoder_layers,
            encoder_attention_heads=shape.num_heads, decoder_attention_heads=shape.num_heads,
            encoder_ffn_dim=4 * shape.width, decoder_ffn_dim=4 * shape.width,
        )  # fmt: skip
        with torch.device("meta"):
            model = WhisperForConditionalGeneration(config).model
        halves = (model.encoder, model.decoder)
        counted = [sum(p.numel() for p in half.parameters()) for half in halves]
        stored = shape.decoder.total - shape.decoder.lm_head  # which is the embedding there
        assert counted == [shape.encoder.total, stored], name


def test_whisper_engines_weigh_what_logs_say() -> None:
    shape = shapes.whisper("large-v3")
    # "Total Weights Memory: 1274045696" of the float16 encoder (sherpa issue #605).
    encoder = shape.encoder.linear_bytes("float16") + shape.encoder.rest_bytes
    assert encoder == pytest.approx(1_274_045_696, rel=1e-3)
    # "Loaded engine size: 1066 MiB" of the int8 decoder (TensorRT-LLM issue #2419).
    decoder = shape.decoder.linear_bytes("int8") + shape.decoder.rest_bytes
    assert decoder / MIB == pytest.approx(1066, rel=0.01)


def test_alignment_models_have_the_parameters_that_transformers_counts() -> None:
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    large = Wav2Vec2Config(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
    )  # fmt: skip
    huge = Wav2Vec2Config(  # facebook/wav2vec2-xls-r-1b
        hidden_size=1280, num_hidden_layers=48, num_attention_heads=16, intermediate_size=5120,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True,
    )  # fmt: skip
    with torch.device("meta"):
        models = [Wav2Vec2ForCTC(one) for one in (Wav2Vec2Config(), large, huge)]
    counted = [sum(p.numel() for p in model.parameters()) for model in models]
    wanted = [shapes.ALIGN_BASE, shapes.ALIGN_LARGE, shapes.ALIGN_1B]
    assert counted == [shape.num_parameters for shape in wanted]


def test_what_has_no_dimensions_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match="mistral-small-24b"):
        shapes.llm("mistral-smal-24b")
    with pytest.raises(PlanError, match=r"llm\.architecture is empty"):
        shapes.llm("")
    with pytest.raises(PlanError, match="int4_awq"):
        shapes.llm("llama-3.1-8b").parameters.linear_bytes("gguf")

"""What a GPU build runs, word for word: every command of the reference card, and what varies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from build_scripts import container
from build_scripts.engines import build
from build_scripts.engines.checkpoints import sources
from build_scripts.errors import PlanError
from build_scripts.plans import plan, schema
from build_scripts.plans.schema import Further, Plan

REVISION = "cbda099649a0188dd888d44f0e4964d8d982dc9a"
WHISPER_SHA256 = "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"
FETCHED = "engines/.checkpoints"
LLM = f"{FETCHED}/stelterlab--Mistral-Small-24B-Instruct-2501-AWQ"
TOKENIZER = f"{FETCHED}/openai--whisper-large-v3"
ALIGN = f"{FETCHED}/facebook--wav2vec2-base-960h"
MADE = "engines/rtx3090/.build"

EXPECTED = {
    "fetch whisper": (
        "python -m build_scripts.fetch.download"
        " https://openaipublic.azureedge.net/main/whisper/models/"
        f"{WHISPER_SHA256}/large-v3.pt --sha256 {WHISPER_SHA256}"
        f" --into {FETCHED}/whisper-large-v3/large-v3.pt --room 3"
    ),
    "fetch whisper tokenizer": (
        "python -m build_scripts.fetch.hub openai/whisper-large-v3"
        f" --revision 06f233fe06e710322aca913c1bc4249a0d71fce1 --into {TOKENIZER}"
        " --file=tokenizer.json --file=preprocessor_config.json"
    ),
    "fetch llm configuration": (
        "python -m build_scripts.fetch.hub stelterlab/Mistral-Small-24B-Instruct-2501-AWQ"
        f" --revision {REVISION} --into {LLM} --file=config.json"
    ),
    "check llm": (
        f"python -m build_scripts.engines.checkpoints.check {LLM}/config.json"
        " --quantisation int4_awq --architecture mistral-small-24b --context-tokens 8192"
        f" --into {MADE}/llm/checked.json"
    ),
    "fetch llm": (
        "python -m build_scripts.fetch.hub stelterlab/Mistral-Small-24B-Instruct-2501-AWQ"
        f" --revision {REVISION} --into {LLM} --room 3 --file=config.json"
        " --file=model*.safetensors --file=tokenizer.json --file=tokenizer_config.json"
        " --optional=generation_config.json --optional=model.safetensors.index.json"
        " --optional=special_tokens_map.json --optional=chat_template.jinja"
    ),
    "fetch align en": (
        "python -m build_scripts.fetch.hub facebook/wav2vec2-base-960h"
        f" --revision 22aad52d435eb6dbaf354bdad9b0da84ce7d6156 --into {ALIGN} --room 3"
        " --file=config.json --file=vocab.json --first-of=model.safetensors"
        " --first-of=pytorch_model.bin"
    ),
    "convert whisper": (
        f"{container.PYTHON} /app/examples/models/core/whisper/convert_checkpoint.py"
        f" --model_dir {FETCHED}/whisper-large-v3 --model_name large-v3 --dtype float16"
        f" --logits_dtype float32 --output_dir {MADE}/whisper/checkpoint"
        " --use_weight_only --weight_only_precision int8"
    ),
    "build whisper encoder": (
        f"trtllm-build --checkpoint_dir {MADE}/whisper/checkpoint/encoder"
        f" --output_dir {MADE}/whisper/encoder --max_batch_size 3 --max_input_len 3000"
        " --max_seq_len 3000 --max_num_tokens 9000 --gemm_plugin disable"
        " --bert_attention_plugin float16 --moe_plugin disable --remove_input_padding enable"
        f" --workers 1 --output_timing_cache {MADE}/whisper/encoder/timing.cache"
    ),
    "build whisper decoder": (
        f"trtllm-build --checkpoint_dir {MADE}/whisper/checkpoint/decoder"
        f" --output_dir {MADE}/whisper/decoder --max_batch_size 3 --max_beam_width 5"
        " --max_input_len 448 --max_seq_len 448 --max_num_tokens 1344"
        " --max_encoder_input_len 3000 --gemm_plugin float16 --bert_attention_plugin float16"
        " --gpt_attention_plugin float16 --moe_plugin disable --kv_cache_type paged"
        " --tokens_per_block 32 --remove_input_padding enable --multiple_profiles disable"
        f" --workers 1 --output_timing_cache {MADE}/whisper/decoder/timing.cache"
    ),
    "assemble whisper": (
        "python -m build_scripts.engines.assemble engines/rtx3090/whisper --name=whisper"
        " --model=openai/whisper-large-v3 --precision=int8 --licence=MIT"
        f" encoder/config.json={MADE}/whisper/encoder/config.json"
        f" encoder/rank0.engine={MADE}/whisper/encoder/rank0.engine"
        f" decoder/config.json={MADE}/whisper/decoder/config.json"
        f" decoder/rank0.engine={MADE}/whisper/decoder/rank0.engine"
        f" tokenizer.json={TOKENIZER}/tokenizer.json"
        f" preprocessor_config.json={TOKENIZER}/preprocessor_config.json"
    ),
    "convert llm": (
        f"{container.PYTHON} /app/examples/models/core/llama/convert_checkpoint.py"
        f" --model_dir {LLM} --dtype float16 --output_dir {MADE}/llm/checkpoint"
    ),
    "build llm": (
        f"trtllm-build --checkpoint_dir {MADE}/llm/checkpoint --output_dir {MADE}/llm/engine"
        " --max_batch_size 4 --max_beam_width 1 --max_input_len 8192 --max_seq_len 8192"
        " --max_num_tokens 2048 --gemm_plugin float16 --gpt_attention_plugin float16"
        " --kv_cache_type paged --tokens_per_block 32 --use_paged_context_fmha enable"
        " --remove_input_padding enable --multiple_profiles disable"
        f" --workers 1 --output_timing_cache {MADE}/llm/engine/timing.cache"
    ),
    "describe llm vocabulary": (
        f"{container.PYTHON} /app/examples/generate_xgrammar_tokenizer_info.py"
        f" --model_dir {LLM} --output_dir {MADE}/llm/grammar"
    ),
    "assemble llm": (
        "python -m build_scripts.engines.assemble engines/rtx3090/llm --name=llm"
        f" --precision=int4_awq --origin={LLM} config.json={MADE}/llm/engine/config.json"
        f" rank0.engine={MADE}/llm/engine/rank0.engine xgrammar_tokenizer_info.json="
        f"{MADE}/llm/grammar/xgrammar_tokenizer_info.json"
        f" tokenizer/tokenizer.json={LLM}/tokenizer.json"
        f" tokenizer/tokenizer_config.json={LLM}/tokenizer_config.json"
        f" --optional=tokenizer/special_tokens_map.json={LLM}/special_tokens_map.json"
        f" --optional=tokenizer/generation_config.json={LLM}/generation_config.json"
        f" --optional=tokenizer/chat_template.jinja={LLM}/chat_template.jinja"
    ),
    "convert align en": (
        f"python -m build_scripts.engines.checkpoints.safetensors align {ALIGN} {MADE}/align/en"
    ),
    "assemble align en": (
        "python -m build_scripts.engines.assemble engines/rtx3090/align/en --name=align"
        f" --precision=float32 --backend=torch --origin={ALIGN} config.json={ALIGN}/config.json"
        f" vocab.json={ALIGN}/vocab.json model.safetensors={MADE}/align/en/model.safetensors"
    ),
}


@pytest.fixture
def rtx3090() -> Plan:
    loaded = plan.load("rtx3090")
    return dataclasses.replace(loaded, llm=dataclasses.replace(loaded.llm, revision=REVISION))


def argv(of: Plan) -> dict[str, list[str]]:
    return {step.name: list(step.argv) for step in build.gpu_steps(of)}


def with_speech(of: Plan, **changes: Any) -> Plan:
    return dataclasses.replace(of, speech=dataclasses.replace(of.speech, **changes))


def with_llm(of: Plan, **changes: Any) -> Plan:
    return dataclasses.replace(of, llm=dataclasses.replace(of.llm, **changes))


def test_every_command_of_the_reference_card(rtx3090: Plan) -> None:
    expected = {name: line.split(" ") for name, line in EXPECTED.items()}
    assert argv(rtx3090) == expected
    assert list(argv(rtx3090)) == list(expected)


def test_every_input_is_made_before_it_is_needed(rtx3090: Plan) -> None:
    made: list[str] = []
    for step in build.gpu_steps(rtx3090):
        for path in step.inputs:
            assert any(path == one or path.startswith(f"{one}/") for one in made), path
        made += step.outputs


def test_the_plan_s_batch_beams_and_precision_reach_whisper(rtx3090: Plan) -> None:
    varied = with_speech(rtx3090, chunks_in_flight=2, beam_width=3, precision="float16")
    found = argv(varied)
    assert "--use_weight_only" not in found["convert whisper"]
    encoder, decoder = found["build whisper encoder"], found["build whisper decoder"]
    assert encoder[encoder.index("--max_num_tokens") + 1] == "6000"
    assert decoder[decoder.index("--max_beam_width") + 1] == "3"
    assert decoder[decoder.index("--max_num_tokens") + 1] == "896"


def test_distil_whisper_is_renamed_to_openai_s_layout_first(rtx3090: Plan) -> None:
    found = argv(with_speech(rtx3090, model="distil-large-v3"))
    assert "fetch whisper tokenizer" not in found
    source = f"{FETCHED}/distil-whisper--distil-large-v3"
    assert found["rename whisper"] == [
        container.PYTHON,
        "/app/examples/models/core/whisper/distil_whisper/convert_from_distil_whisper.py",
        *("--model_name", source),
        *("--output_dir", f"{FETCHED}/whisper-distil-large-v3"),
        *("--output_name", "distil-large-v3"),
    ]
    convert = found["convert whisper"]
    assert convert[convert.index("--model_name") + 1] == "distil-large-v3"


def test_every_speech_model_of_the_plans_has_a_source() -> None:
    assert set(sources.WHISPERS) == set(schema.SpeechModel.__args__)  # type: ignore[attr-defined]


def test_languages_are_fetched_beside_those_that_are_loaded_at_the_start(rtx3090: Plan) -> None:
    align = dataclasses.replace(rtx3090.align, languages=("de", "en", "nl"))
    names = list(argv(dataclasses.replace(rtx3090, align=align)))
    assert [one for one in names if "align" in one] == [
        *(f"fetch align {one}" for one in ("en", "de", "nl")),
        *(f"{step} align {one}" for one in ("en", "de", "nl") for step in ("convert", "assemble")),
    ]


def test_8_bit_is_made_by_the_converter(rtx3090: Plan) -> None:
    convert = argv(with_llm(rtx3090, quantisation="int8"))["convert llm"]
    assert convert[-5:-2] == ["--use_weight_only", "--weight_only_precision", "int8"]


def test_a_directory_is_used_where_it_lies(rtx3090: Plan, tmp_path: Path) -> None:
    found = argv(with_llm(rtx3090, checkpoint=str(tmp_path)))
    assert not any(name.startswith("fetch llm") for name in found)
    convert = found["convert llm"]
    assert convert[convert.index("--model_dir") + 1] == str(tmp_path)


def test_what_cannot_be_built_is_refused(rtx3090: Plan) -> None:
    with pytest.raises(PlanError, match=r"llm\.quantisation is `gguf`"):
        build.gpu_steps(with_llm(rtx3090, quantisation="gguf"))
    with pytest.raises(PlanError, match="states no card"):
        build.gpu_steps(dataclasses.replace(rtx3090, card=None))
    align = dataclasses.replace(rtx3090.align, preload=("xx",))
    with pytest.raises(PlanError, match=r"align\.languages names `xx`"):
        build.gpu_steps(dataclasses.replace(rtx3090, align=align))


def test_a_further_whisper_is_fetched_once_and_built_beside_the_first() -> None:
    found = plan.load("rtx3090")
    models = {"small": Further(), "exact": Further(model="large-v3", precision="float16")}
    speech = dataclasses.replace(found.speech, models=models)
    wanted = build.gpu_steps(dataclasses.replace(found, speech=speech))
    fetched = [step.name for step in wanted if step.kind == "fetch" and "whisper" in step.name]
    assert fetched == [
        "fetch whisper", "fetch whisper tokenizer", "fetch whisper_small",
        "fetch whisper_small tokenizer",
    ]  # fmt: skip
    assembled = [step.outputs[0] for step in wanted if step.kind == "assemble"]
    assert [one for one in assembled if "whisper" in one] == [
        f"engines/rtx3090/{name}" for name in ("whisper", "whisper_small", "whisper_exact")
    ]
    outputs = [path for step in wanted for path in step.outputs]
    assert len(outputs) == len(set(outputs))
    (convert,) = [step for step in wanted if step.name == "convert whisper_exact"]
    assert convert.inputs == (f"{FETCHED}/whisper-large-v3/large-v3.pt",)
    assert "--use_weight_only" not in convert.argv

"""config.pbtxt is what plan and contract say, for every plan, and holds nothing else."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build_scripts import paths
from build_scripts.errors import PlanError
from build_scripts.memory.deployment import deploy, resolve
from build_scripts.model_repository import models, render
from build_scripts.plans import plan
from build_scripts.plans.schema import Further
from onecard.chat import answer
from onecard.contract import pipeline, trtllm
from onecard.minutes import options as minutes_options
from onecard.options import parameters
from onecard.streaming import transcription
from onecard.triage import options

TEXTS = {path: text for name in plan.names() for path, text in render.render(resolve(name)).items()}
CONFIGS = {path: text_format.Parse(text, pb.ModelConfig()) for path, text in TEXTS.items()}


def of(directory):
    """The texts of every configuration in a directory, by their paths below it."""
    return {path.relative_to(directory): path.read_text() for path in directory.rglob("*.pbtxt")}


def test_what_is_checked_in_is_what_two_plans_render(capsys):
    texts = {}
    for name in render.COMMITTED:
        texts |= render.render(resolve(name))
    assert render.diff(texts) == ""
    assert of(render.REPOSITORY) == texts
    # A plan in the environment changes nothing of what is compared.
    assert render.main(["--check"], {"PLAN": "rtx4090"}) == 0
    assert capsys.readouterr().out == ""


def test_a_configuration_that_differs_or_that_no_plan_makes_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(render, "REPOSITORY", tmp_path)
    render.main([], {})
    assert len(of(tmp_path)) == sum(len(render.render(resolve(one))) for one in render.COMMITTED)
    (tmp_path / "llm" / "configs" / "rtx4090.pbtxt").write_text("")
    (tmp_path / "chat" / "config.pbtxt").write_text('name: "chat"\n')
    capsys.readouterr()
    assert render.main(["--check"], {}) == 1
    found = capsys.readouterr().out
    assert "llm/configs/rtx4090.pbtxt: no plan makes this file; delete it" in found
    assert '+backend: "python"' in found
    assert "differs from the plans; run `make repository`" in found


def test_a_plan_that_is_not_checked_in_has_a_repository_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(render, "REPOSITORIES", tmp_path)
    assert render.main([], {"PLAN": "rtx4090"}) == 0
    wanted = render.render(resolve("rtx4090"))
    assert of(tmp_path / "rtx4090") == wanted
    for path in wanted:
        code = tmp_path / "rtx4090" / path.parts[0] / "1"
        assert code.resolve() == paths.MODEL_REPOSITORY / path.parts[0] / "1"
    found = capsys.readouterr().out
    assert f"wrote {len(wanted)} configurations of plan rtx4090 to {tmp_path / 'rtx4090'}" in found
    assert "--model-config-name=rtx4090" in found
    # It is made again over an earlier one, and `--into` names another place.
    (tmp_path / "rtx4090" / "old").touch()
    assert render.main(["--plan", "rtx4090"], {}) == 0
    assert not (tmp_path / "rtx4090" / "old").exists()
    assert render.main(["--plan", "cpu", "--into", str(tmp_path / "here")], {}) == 0
    assert of(tmp_path / "here") == render.render(resolve("cpu"))


def test_a_directory_that_holds_something_is_not_overwritten(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(PlanError, match="holds something, wanted a new or empty directory"):
        render.main(["--into", str(tmp_path)], {"PLAN": "rtx4090"})
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(PlanError, match=r"no plan `rtx4091`.*`rtx4090` is the nearest"):
        render.main([], {"PLAN": "rtx4091"})


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_no_template_is_left(path):
    assert "${" not in TEXTS[path]
    assert CONFIGS[path].name == path.parts[0]


def interface(config):
    def shape(tensor):
        reshape = tuple(tensor.reshape.shape) if tensor.HasField("reshape") else None
        return tensor.name, tensor.data_type, tuple(tensor.dims), reshape

    inputs = [(*shape(t), t.optional, t.allow_ragged_batch) for t in config.input]
    return inputs, [shape(t) for t in config.output]


def of_the_contract(tensors, *more):
    return [
        (t.name, pb.DataType.Value(t.dtype), t.dims, t.reshape, *(getattr(t, m) for m in more))
        for t in tensors
    ]


@pytest.mark.parametrize(("name", "is_decoupled"), pipeline.ENGINES.items())
def test_an_engine_has_the_contracts_tensors_on_every_plan(name, is_decoupled):
    found = {path: c for path, c in CONFIGS.items() if c.name == name}
    assert len(found) == len(plan.names()) > 1
    for path, config in found.items():
        is_cpu_whisper = path.parts[0] == "whisper" and path.stem in ("config", "cpu-models")
        # What NVIDIA's does not have.
        taken = trtllm.WHISPER_INPUTS if is_cpu_whisper else ()
        given = (trtllm.NO_SPEECH_PROB,) if is_cpu_whisper else ()
        inputs = of_the_contract((*trtllm.INPUTS, *taken), "optional", "ragged")
        outputs = of_the_contract((*trtllm.OUTPUTS, *given))
        assert config.backend == "tensorrtllm", path
        assert interface(config) == (inputs, outputs), path
        assert config.model_transaction_policy.decoupled == is_decoupled, path


@pytest.mark.parametrize("path", [p for p, c in CONFIGS.items() if pipeline.engine_kind(c.name)])
def test_an_engine_s_parameters_are_the_backend_s_and_can_be_read(path):
    texts = {key: entry.string_value for key, entry in CONFIGS[path].parameters.items()}
    for key, text in texts.items():
        trtllm.parse(key, text)  # raises for one that it does not know
    assert {one.key for one in trtllm.PARAMETERS if one.must_exist} <= texts.keys()


@pytest.mark.parametrize("name", ["chat", "triage", "minutes"])
def test_the_models_that_call_the_llm_stream_and_may_be_asked_without_options(name):
    for path, config in CONFIGS.items():
        if config.name == name:
            assert config.model_transaction_policy.decoupled, path
            assert (config.input[-1].name, config.input[-1].optional) == ("OPTIONS", True)
            calls = config.parameters["calls"].string_value.split(",")
            steps = pipeline.TRANSCRIBE_STEPS if name == "minutes" else ()
            assert calls == [*steps, "llm"], path


@pytest.mark.parametrize(
    ("name", "config"),
    [("chat", answer.Config), ("triage", options.Config), ("minutes", minutes_options.Config)],
)
def test_the_plans_state_what_a_model_of_the_llm_reads_and_nothing_else(name, config):
    for path, found in CONFIGS.items():
        if found.name == name:
            texts = {key: entry.string_value for key, entry in found.parameters.items()}
            parameters.parse(config, texts)
            stated = {field.name for field in fields(config)} | {"calls"}
            if name == "minutes":
                speech = {key.removeprefix("speech_"): text for key, text in texts.items()}
                parameters.parse(transcription.Config, speech)
                stated |= {f"speech_{field.name}" for field in fields(transcription.Config)}
            assert texts.keys() == stated, path


def test_the_llm_refuses_when_its_queue_is_full_and_is_no_encoder_decoder():
    for path, config in CONFIGS.items():
        if config.name == "llm":
            batching, limit = config.dynamic_batching, str(models.MAX_QUEUED)
            if path.stem in ("config", "cpu-models"):  # the CPU's
                # A limit in the batcher would cost requests that come together half a second.
                assert not batching.HasField("default_queue_policy")
                assert config.parameters["cpu_max_queue_size"].string_value == limit
            else:
                assert str(batching.default_queue_policy.max_queue_size) == limit, path
            # NVIDIA's backend takes the model for an encoder-decoder, or refuses it, with these
            forbidden = {"cross_kv_cache_fraction", "encoder_model_path"}
            assert not forbidden & set(config.parameters), path


def test_whisper_states_every_parameter_that_the_backend_insists_on():
    # NVIDIA's backend reads these outside its try block, or aborts without
    needed = {
        "gpt_model_type",
        "gpt_model_path",
        "encoder_model_path",
        "cross_kv_cache_fraction",
        "max_tokens_in_paged_kv_cache",
        "kv_cache_free_gpu_mem_fraction",
        "max_beam_width",
        "tokenizer_dir",
        "xgrammar_tokenizer_info_path",
        "guided_decoding_backend",
    }
    for path, config in CONFIGS.items():
        if config.name == "whisper":
            assert needed <= set(config.parameters), path


def test_an_override_replaces_what_it_names_and_nothing_else():
    good = plan.load("cpu")
    given = {"align": {"instances": 2, "parameters": {"cpu_share": 0.25, "pocketsphinx": False}}}
    found = models.models(deploy(replace(good, overrides=given)))
    usual = models.models(deploy(good))
    assert found["align"].instances == 2
    assert found["align"].parameters == {
        **usual["align"].parameters,
        "cpu_share": "0.25",
        "pocketsphinx": "false",
    }
    assert {**found, "align": None} == {**usual, "align": None}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algin": {}}, "unknown key `algin` in models; known: align"),
        ({"align": {"instancs": 1}}, "unknown key `instancs`.*known: instances"),
        ({"align": {"instances": "two"}}, "models.align.instances is `'two'`.*a whole number"),
        ({"align": {"parameters": {"cpu_shar": 1}}}, "unknown key `cpu_shar`.*known: cpu_share"),
        ({"align": {"parameters": 5}}, r"`5`, must be a section: \[models.align.parameters\]"),
        ({"align": {"instances": 0}}, "models.align.instances is `0`, must be at least 1"),
        ({"align": {"max_batch_size": 0}}, "align.max_batch_size is `0`, must be at least 1"),
        ({"whisper": {"max_queue_size": -1}}, "max_queue_size is `-1`, must be at least 0"),
        ({"align": {"instances": 10**400}}, "must be at most 2147483647"),
        ({"align": 7}, r"`models.align` is `7`, must be a section: \[models.align\]"),
    ],
)
def test_an_override_of_what_is_not_there_is_refused_by_name(given, message):
    with pytest.raises(PlanError, match=message):
        models.models(deploy(replace(plan.load("cpu"), overrides=given)))


@pytest.mark.parametrize("name", ["cpu", "rtx3090"])
@pytest.mark.parametrize(
    ("model", "key", "instead"),
    [
        ("whisper", "max_tokens_in_paged_kv_cache", "speech.chunks_in_flight"),
        ("whisper", "max_attention_window_size", "leave it out"),
        ("whisper", "kv_cache_free_gpu_mem_fraction", "card.headroom_gib"),
        ("whisper", "cross_kv_cache_fraction", "speech.chunks_in_flight"),
        ("whisper", "enable_kv_cache_reuse", "leave it out"),
        ("whisper", "gpt_model_type", "leave it out"),
        ("whisper", "gpt_model_path", "speech.model"),
        ("whisper", "encoder_model_path", "speech.model"),
        ("whisper", "max_beam_width", "speech.beam_width"),
        ("llm", "max_tokens_in_paged_kv_cache", "llm.kv_tokens"),
        ("llm", "max_attention_window_size", "llm.context_tokens"),
        ("llm", "enable_kv_cache_reuse", "leave it out"),
        ("llm", "gpt_model_type", "leave it out"),
        ("llm", "gpt_model_path", "llm.checkpoint"),
        ("llm", "max_beam_width", "leave it out"),
        ("transcribe", "ledger", "leave it out"),
    ],
)
def test_an_override_does_not_go_round_the_ledger(name, model, key, instead):
    given = {model: {"parameters": {key: 1}}}
    with pytest.raises(PlanError, match=rf"models\.{model} sets `{key}`.*{instead}"):
        models.models(deploy(replace(plan.load(name), overrides=given)))


@pytest.mark.parametrize(
    ("model", "instead"),
    [("whisper", "speech.chunks_in_flight"), ("llm", "llm.sequences_in_flight")],
)
def test_an_override_does_not_change_what_an_engine_is_built_for(model, instead):
    given = {model: {"max_batch_size": 64}}
    with pytest.raises(PlanError, match=rf"models\.{model} sets `max_batch_size`.*{instead}"):
        models.models(deploy(replace(plan.load("cpu"), overrides=given)))


def test_an_override_does_not_move_the_llm_s_second_fence():
    given = {"llm": {"parameters": {"kv_cache_free_gpu_mem_fraction": 0.9}}}
    with pytest.raises(PlanError, match=r"kv_cache_free_gpu_mem_fraction.*card\.headroom_gib"):
        models.models(deploy(replace(plan.load("rtx3090"), overrides=given)))


def test_an_engine_s_other_settings_may_be_overridden():
    given = {
        "llm": {"max_queue_size": 0, "parameters": {"batch_scheduler_policy": "max_utilization"}}
    }
    found = models.models(deploy(replace(plan.load("cpu"), overrides=given)))["llm"]
    assert found.parameters["cpu_max_queue_size"] == "0"
    card = models.models(deploy(replace(plan.load("rtx3090"), overrides=given)))["llm"]
    assert card.max_queue_size == 0
    assert found.parameters["batch_scheduler_policy"] == "max_utilization"


def test_callers_of_the_llm_are_told_its_window_and_tokenizer():
    for name in plan.names():
        served = models.models(resolve(name))
        llm = served["llm"].parameters
        for caller in ("chat", "triage", "minutes"):
            told = served[caller].parameters
            assert told["max_seq_len"] == llm["max_attention_window_size"], name
            assert told["tokenizer_dir"] == llm["tokenizer_dir"], name


def test_a_further_whisper_is_an_engine_like_the_first_one_and_its_callers_know_it(tmp_path):
    texts = render.render(resolve("cpu-models"))
    name = "configs/cpu-models.pbtxt"
    first, further, recognize, stream, decode = (
        text_format.Parse(texts[Path(model) / name], pb.ModelConfig())
        for model in (
            "whisper",
            "whisper_tiny.en",
            "recognize",
            "transcribe_stream",
            "decode_audio",
        )
    )
    assert further.name == "whisper_tiny.en"
    differing = ("gpt_model_path", "encoder_model_path")
    for key in differing:
        assert further.parameters[key].string_value == "engines/cpu-models/whisper_tiny.en"
        further.parameters[key].CopyFrom(first.parameters[key])
    further.name = first.name
    assert further == first
    for caller in (recognize, stream, decode):
        assert caller.parameters["speech_models"].string_value == "base,tiny.en"
    assert recognize.parameters[pipeline.CALLS].string_value == "whisper,whisper_tiny.en"
    render.write_copy(texts, tmp_path)
    assert (tmp_path / "whisper_tiny.en" / "1").is_dir()


def test_callers_know_which_whispers_are_on_demand():
    stated = plan.load("cpu-models")
    models = {"tiny.en": Further(residence="on_demand"), "again": Further("base")}
    turns = replace(stated, speech=replace(stated.speech, models=models))
    texts = render.render(deploy(turns))
    assert Path("whisper_tiny.en/configs/cpu-models.pbtxt") in texts
    found = {}
    for path, text in texts.items():
        told = text_format.Parse(text, pb.ModelConfig()).parameters
        if pipeline.ON_DEMAND in told:
            found[path.parts[0]] = told[pipeline.ON_DEMAND].string_value
    assert found == {"recognize": "tiny.en", "transcribe_stream": "tiny.en"}
    assert pipeline.on_demand(found["recognize"]) == ("whisper_tiny.en",)
    assert not any(pipeline.ON_DEMAND in text for text in render.render(deploy(stated)).values())


def test_a_further_whisper_s_settings_are_as_fixed_as_the_first_one_s():
    stated = plan.load("cpu-models")
    given = {"whisper_tiny.en": {"max_batch_size": 2}}
    with pytest.raises(PlanError, match=r"models\.whisper_tiny\.en sets `max_batch_size`"):
        models.models(deploy(replace(stated, overrides=given)))

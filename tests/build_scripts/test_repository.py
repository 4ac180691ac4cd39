"""config.pbtxt is what plan and contract say, for every plan, and holds nothing else."""

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build_scripts import plan, repository
from build_scripts.errors import PlanError
from onecard import trtllm

CONFIGS = {
    path: text_format.Parse(path.read_text(), pb.ModelConfig())
    for path in sorted(repository.REPOSITORY.rglob("*.pbtxt"))
}


def test_what_is_checked_in_is_what_the_plans_render():
    texts = {}
    for name in plan.names():
        texts |= repository.render(plan.load(name))
    assert repository.diff(texts) == ""


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_no_template_is_left(path):
    assert "${" not in path.read_text()
    assert CONFIGS[path].name == path.relative_to(repository.REPOSITORY).parts[0]


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


def test_whisper_has_the_same_tensors_on_every_plan_and_they_are_the_contracts():
    found = {path: c for path, c in CONFIGS.items() if c.name == "whisper"}
    assert len(found) == len(plan.names()) > 1
    wanted = of_the_contract(trtllm.INPUTS, "optional", "ragged"), of_the_contract(trtllm.OUTPUTS)
    for path, config in found.items():
        assert config.backend == "tensorrtllm", path
        assert interface(config) == wanted, path


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


def test_an_unknown_model_or_key_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "PLANS", tmp_path)
    (tmp_path / "odd.toml").write_text("[models.align]\ninstancs = 1\n")
    with pytest.raises(PlanError, match=r"unknown key `instancs`.*instances"):
        plan.load("odd")
    (tmp_path / "odd.toml").write_text("[models.algin]\ninstances = 1\n")
    with pytest.raises(PlanError, match="algin"):
        repository.render(plan.load("odd"))
    with pytest.raises(PlanError, match="no plan `od`; there are: odd"):
        plan.load("od")

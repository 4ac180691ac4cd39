"""How a server is started: the runtime, the flags and the environment of each topology."""

from __future__ import annotations

import dataclasses

import pytest

from build_scripts import paths
from build_scripts.errors import PlanError
from build_scripts.plans import plan
from build_scripts.plans.schema import Further
from build_scripts.server import launch
from tests.build_scripts.server.reference import MODELS, rtx3090


def test_without_a_card_nvidias_runtime_is_left_alone(nvidia):
    one = launch.launch(plan.load("cpu"), nvidia=nvidia)
    assert one.runtime == "embedded"
    assert one.binary == paths.RUNTIME / "bin/tritonserver"
    assert one.flags == {
        "cache-directory": str(paths.RUNTIME / "caches"),
        "load-model": "*",
        "model-load-thread-count": "16",
    }
    assert (one.environment, one.libraries) == ({}, (paths.RUNTIME / "lib",))
    assert not one.is_ordered


def test_what_is_on_demand_is_not_loaded_at_the_start(nvidia):
    models = (*MODELS, "whisper_small")
    one = launch.launch(plan.load("cpu"), models, nvidia=nvidia, on_demand=("whisper_small",))
    assert one.on_demand == ("whisper_small",)
    assert one.flags["load-model"] == MODELS
    assert launch._given("load-model", ("a", "b")) == ["--load-model=a", "--load-model=b"]


@pytest.mark.parametrize("topology", ["one_process", "two_servers"])
def test_on_a_card_what_is_on_demand_has_no_turn_at_the_start(nvidia, topology):
    stated = rtx3090(topology)
    speech = dataclasses.replace(stated.speech, models={"small": Further(residence="on_demand")})
    stated = dataclasses.replace(stated, speech=speech)
    engine = ("whisper_small",)
    parts = ("all",) if topology == "one_process" else ("text", "speech")
    for part in parts:
        one = launch.launch(stated, (*MODELS, *engine), part, nvidia, engine)
        assert "whisper_small" not in one.load_first
        assert one.on_demand == (() if part == "text" else engine)


def test_a_card_without_nvidias_backend_is_rehearsed_in_its_order(nvidia, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("none")
    (tmp_path / "backends/tensorrtllm").mkdir(parents=True)
    one = launch.launch(rtx3090(), nvidia=tmp_path)
    assert one.runtime == "embedded"
    card = launch.launch(rtx3090(), nvidia=nvidia)
    assert (one.load_first, one.environment) == (card.load_first, card.environment)
    for flag in ("load-model", "model-load-thread-count"):
        assert one.flags[flag] == card.flags[flag]


def test_both_engines_in_one_server(nvidia):
    one = launch.launch(rtx3090(), MODELS, nvidia=nvidia)
    assert one.binary == nvidia / "bin/tritonserver"
    assert one.backend_directory == nvidia / "backends"
    assert one.flags == {
        "model-load-thread-count": "1",
        "load-model": "llm",
        "cuda-memory-pool-byte-size": "0:67108864",  # as the ledger counts it
    }
    assert "LD_LIBRARY_PATH" not in one.environment
    assert one.libraries == ()  # the container's own come first
    assert (one.load_first, one.models) == (("llm", "whisper"), None)


@pytest.mark.parametrize(
    ("topology", "part"),
    [("one_process", "all"), ("two_servers", "text"), ("two_servers", "speech")],
)
def test_no_server_spawns_a_worker_or_keeps_buffers_to_send_kv_caches(nvidia, topology, part):
    one = launch.launch(rtx3090(topology), MODELS, part, nvidia)
    assert one.environment["TRTLLM_ORCHESTRATOR"] == "0"
    assert one.environment["TRTLLM_KVCACHE_TRANSFER_BUFFER_SIZE"] == "0B"


def test_what_the_environment_says_of_the_orchestrator_does_not_reach_triton(nvidia, monkeypatch):
    monkeypatch.setenv("TRTLLM_ORCHESTRATOR", "1")
    one = launch.launch(rtx3090(), nvidia=nvidia)
    assert launch.triton_environment(one)["TRTLLM_ORCHESTRATOR"] == "0"


def test_two_servers_share_the_repository_without_remainder(nvidia):
    text, speech = (
        launch.launch(rtx3090("two_servers"), MODELS, part, nvidia) for part in ("text", "speech")
    )
    assert (text.part, speech.part) == ("text", "speech")
    assert text.models == ("chat", "llm", "minutes", "triage")
    assert (text.flags["load-model"], text.load_first) == ("llm", ("llm",))
    assert (speech.flags["load-model"], speech.load_first) == ("whisper", ("whisper",))
    assert text.models is not None
    assert speech.models is not None
    assert sorted((*text.models, *speech.models)) == list(MODELS)


@pytest.mark.parametrize(("topology", "part"), [("two_servers", "all"), ("one_process", "text")])
def test_a_part_that_the_topology_does_not_have_is_refused(nvidia, topology, part):
    with pytest.raises(PlanError, match=f"serving.topology `{topology}`.*`{part}` was asked for"):
        launch.launch(rtx3090(topology), MODELS, part, nvidia)


def test_two_servers_without_an_llm_are_refused(nvidia):
    with pytest.raises(PlanError, match="`llm` is not among them"):
        launch.launch(rtx3090("two_servers"), ("whisper", "chat", "triage"), "text", nvidia)

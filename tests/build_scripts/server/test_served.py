"""What one server serves: the plan's own repository, or with turned knobs a copy of it."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from build_scripts import arguments as dial
from build_scripts import paths
from build_scripts.errors import PlanError, ServerError
from build_scripts.memory.deployment import deploy
from build_scripts.server import launch, served, settings
from build_scripts.server.settings import Settings

TURNED = {"MAX_ATTENTION_WINDOW_SIZE": "4096", "WHISPER_MAX_TOKENS_IN_KV_CACHE": "12288"}


@pytest.fixture
def said() -> list[str]:
    return []


def asked(plan: str, run: Path, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    monkeypatch.setattr(paths, "RUN", run)
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    dial.add_argument(parser)
    return settings.from_arguments(parser.parse_args(["--plan", plan]), environment)


def config(path: Path) -> dict[str, str]:
    found = text_format.Parse(path.read_text(), pb.ModelConfig())
    return {key: entry.string_value for key, entry in found.parameters.items()}


def test_the_plans_own_knobs_need_no_copy(tmp_path, monkeypatch, said):
    one = asked("cpu", tmp_path, monkeypatch)
    found = served.read(one, said.append, {})
    assert not found.deployment.is_overridden
    assert served.repository_of(one, found, said.append) == paths.MODEL_REPOSITORY
    assert not list(tmp_path.iterdir())
    assert said == []


def test_turned_knobs_reach_the_engines_and_their_callers(tmp_path, monkeypatch, said):
    one = asked("cpu", tmp_path, monkeypatch)
    found = served.read(one, said.append, TURNED)
    copy = served.repository_of(one, found, said.append)
    assert copy.is_relative_to(tmp_path)
    assert config(copy / "llm" / "config.pbtxt")["max_attention_window_size"] == "4096"
    assert config(copy / "whisper" / "config.pbtxt")["max_tokens_in_paged_kv_cache"] == "12288"
    for caller in ("chat", "triage", "minutes"):
        assert config(copy / caller / "config.pbtxt")["max_seq_len"] == "4096"
    assert "llm: MAX_ATTENTION_WINDOW_SIZE is 4096 instead of 8192" in said
    models = {path.name for path in paths.MODEL_REPOSITORY.iterdir()}
    assert {path.name for path in copy.iterdir()} == models
    for model in models:
        assert (copy / model / "1").resolve() == paths.MODEL_REPOSITORY / model / "1"
    # What is checked in stays as it is, and a second start finds its place.
    assert config(paths.MODEL_REPOSITORY / "llm" / "config.pbtxt") != config(
        copy / "llm" / "config.pbtxt"
    )
    assert served.repository_of(one, found, said.append) == copy


def test_a_plan_that_was_edited_since_is_served_as_it_is_now(tmp_path, monkeypatch, said):
    one = asked("cpu", tmp_path, monkeypatch)
    found = served.read(one, said.append, {})
    plan = found.deployment.plan
    chat = dataclasses.replace(plan.chat, max_tokens=99)
    edited = dataclasses.replace(found, deployment=deploy(dataclasses.replace(plan, chat=chat)))
    copy = served.repository_of(one, edited, said.append)
    assert config(copy / "chat" / "config.pbtxt")["max_tokens"] == "99"
    assert "model_repository/ is not what plan cpu renders" in said[0]


def test_a_plan_that_nobody_rendered_is_not_served_with_another_ones_files(
    tmp_path, monkeypatch, said
):
    one = asked("rtx3090", tmp_path, monkeypatch)
    found = served.read(one, said.append, {})
    plan = dataclasses.replace(found.deployment.plan, name="mycard")
    mine = dataclasses.replace(found, deployment=deploy(plan))
    copy = served.repository_of(one, mine, said.append)
    path = copy / "llm" / "configs" / "mycard.pbtxt"
    assert config(path)["gpt_model_path"] == "engines/mycard/llm"


def test_a_plan_that_is_not_checked_in_is_served_from_a_rendered_copy(tmp_path, monkeypatch, said):
    one = asked("rtx4090", tmp_path, monkeypatch)
    found = served.read(one, said.append, {})
    copy = served.repository_of(one, found, said.append)
    assert said == [f"configurations of plan rtx4090 are rendered into {copy}"]
    assert config(copy / "llm" / "configs" / "rtx4090.pbtxt")["gpt_model_path"] == (
        "engines/rtx4090/llm"
    )
    models = {path.name for path in paths.MODEL_REPOSITORY.iterdir()}
    assert {path.parent.name for path in copy.glob("*/1")} == models
    command = launch.triton_command(dataclasses.replace(one, repository=copy), "s", found.launch)
    assert f"--model-repository={copy}" in command
    assert "--model-config-name=rtx4090" in command


def test_knobs_that_break_the_ledger_are_refused(tmp_path, monkeypatch, said):
    one = asked("rtx3090", tmp_path, monkeypatch)
    with pytest.raises(PlanError, match=r"MAX_TOKENS_IN_KV_CACHE.*ledger comes to"):
        served.read(one, said.append, {"MAX_TOKENS_IN_KV_CACHE": "32768"})


def test_the_dial_turns_what_is_served(tmp_path, monkeypatch, said):
    one = asked("rtx3090", tmp_path, monkeypatch, VRAM_GIB="22.1")
    found = served.read(one, said.append, {})
    assert "plan rtx3090, to fit VRAM_GIB=22.1: llm.context_tokens: 8192 -> 7168" in said
    copy = served.repository_of(one, found, said.append)
    assert config(copy / "llm" / "configs" / "rtx3090.pbtxt")["max_attention_window_size"] == "7168"
    assert not any("make repository" in line for line in said)  # it would not write this


def test_a_card_less_plan_has_no_dial(tmp_path, monkeypatch, said):
    one = asked("cpu", tmp_path, monkeypatch, VRAM_GIB="22.1")
    with pytest.raises(PlanError, match=r"`cpu` states no card.*leave out VRAM_GIB"):
        served.read(one, said.append, {})


@pytest.mark.parametrize(
    ("dial", "knobs", "what"),
    [
        ({"VRAM_GIB": "30"}, {}, "VRAM_GIB"),
        ({}, {"MAX_ATTENTION_WINDOW_SIZE": "4096"}, "a knob of the KV caches"),
    ],
)
def test_what_a_foreign_repository_would_not_hear_of_is_refused(
    tmp_path, monkeypatch, said, dial, knobs, what
):
    one = asked("rtx3090", tmp_path, monkeypatch, **dial)
    with pytest.raises(ServerError, match=f"{what} is turned, and `{tmp_path}` is served as it"):
        served.read(dataclasses.replace(one, repository=tmp_path), said.append, knobs)


def test_a_repository_that_is_not_there_is_named(tmp_path, monkeypatch, said):
    one = dataclasses.replace(asked("cpu", tmp_path, monkeypatch), repository=tmp_path / "none")
    with pytest.raises(ServerError, match="none` is not a directory"):
        served.read(one, said.append, {})

"""The verb plan: table, JSON, the dial, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from build_scripts.commands import plan
from build_scripts.errors import PlanError
from build_scripts.plans import match
from build_scripts.plans import plan as plans


def shown(
    capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str
) -> tuple[int, str]:
    status = plan.main(arguments, environment)
    return status, capsys.readouterr().out


def as_json(
    capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str
) -> tuple[int, dict[str, Any]]:
    status, text = shown(capsys, "--json", *arguments, **environment)
    return status, json.loads(text)


def test_the_table_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = shown(capsys, PLAN="rtx3090")
    assert status == 0
    for word in ("process", "basis", "self-attention KV cache", "1,280.0", "headroom", "left"):
        assert word in text
    assert "llm: MAX_TOKENS_IN_KV_CACHE=8192, MAX_ATTENTION_WINDOW_SIZE=8192" in text


def test_the_json_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = as_json(capsys, "--plan", "rtx3090")
    assert status == 0
    assert found["plan"] == "rtx3090"
    assert found["vram_gib"] == 24.0
    assert found["total_gib"] <= 22.0
    assert found["headroom_gib"] >= 2.0
    assert found["total_gib"] + found["headroom_gib"] == pytest.approx(24.0, abs=0.002)
    total = sum(line["bytes"] for line in found["lines"])
    assert total / 2**30 == pytest.approx(found["total_gib"], abs=0.001)
    assert all(
        {"name", "process", "kind", "bytes", "basis"} <= set(line) for line in found["lines"]
    )
    for engine in ("whisper", "llm"):
        assert {
            "MAX_TOKENS_IN_KV_CACHE",
            "MAX_ATTENTION_WINDOW_SIZE",
            "KV_CACHE_FREE_GPU_MEM_FRACTION",
        } <= set(found["knobs"][engine])


def test_the_dial(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = as_json(capsys, "--plan", "rtx3090", "--vram", "23.5")
    assert found["vram_gib"] == 23.5
    assert found["refit"][0] == "speech.chunks_in_flight: 3 -> 1"
    _, same = as_json(capsys, PLAN="rtx3090", VRAM_GIB="23.5")
    assert same == found
    _, text = shown(capsys, "--plan", "rtx3090", "--vram", "23.5")
    assert "speech.chunks_in_flight: 3 -> 1" in text


def test_what_does_not_fit_is_refused_with_the_ledger_and_two_cures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, text = shown(capsys, "--plan", "rtx3090", "--vram", "20")
    assert status == 2
    assert "DOES NOT FIT" in text
    assert "lm_head" in text
    assert "  1. " in text
    assert "  2. " in text
    assert text.count("costs: ") >= 2
    status, found = as_json(capsys, "--plan", "rtx3090", "--vram", "20")
    assert status == 2
    assert found["fits"] is False
    assert len(found["cures"]) == 2


def test_a_triage_call_that_does_not_fit_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = as_json(capsys, "--plan", "rtx3090", "--vram", "22")
    assert "triage call" in found["warnings"][0]
    _, text = shown(capsys, "--plan", "rtx3090", "--vram", "22")
    assert "warning: llm.context_tokens" in text


def test_the_environments_knobs_are_shown_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    knob = {"MAX_ATTENTION_WINDOW_SIZE": "4096"}
    _, found = as_json(capsys, "--plan", "rtx3090", **knob)
    assert found["knobs"]["llm"]["MAX_ATTENTION_WINDOW_SIZE"] == 4096
    assert "MAX_ATTENTION_WINDOW_SIZE is 4096, a triage call" in found["warnings"][0]
    _, usual = as_json(capsys, "--plan", "rtx3090")
    assert found["total_gib"] == usual["total_gib"]
    with pytest.raises(PlanError, match="at most 22"):
        plan.main(["--plan", "rtx3090"], {"MAX_TOKENS_IN_KV_CACHE": "65536"})


def test_the_table_is_that_of_the_turned_pools(capsys: pytest.CaptureFixture[str]) -> None:
    _, usual = as_json(capsys, "--plan", "rtx3090")
    turned = {
        "MAX_TOKENS_IN_KV_CACHE": "6144",
        "MAX_ATTENTION_WINDOW_SIZE": "6144",
        "WHISPER_MAX_TOKENS_IN_KV_CACHE": "3008",
    }
    _, found = as_json(capsys, "--plan", "rtx3090", **turned)

    def pools(of: dict[str, Any]) -> list[int]:
        return [line["bytes"] // 163_840 for line in of["lines"] if line["kind"] == "kv"]

    assert sorted(pools(usual)) == [6720, 6720, 8192]
    assert sorted(pools(found)) == [3008, 3008, 6144]
    less = (2048 + 2 * (6720 - 3008)) * 163_840 / 2**30
    assert found["total_gib"] == pytest.approx(usual["total_gib"] - less, abs=0.001)
    _, text = shown(capsys, "--plan", "rtx3090", **turned)
    assert "6144 tokens x 163,840 bytes" in text
    assert "warning: MAX_ATTENTION_WINDOW_SIZE is 6144" in text


def test_the_plan_without_a_card_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = shown(capsys)
    assert status == 0
    assert "no card" in text
    _, found = as_json(capsys)
    assert found["lines"] == []
    with pytest.raises(PlanError, match="states no card"):
        plan.main(["--vram", "24"], {})


def test_what_is_on_demand_is_said_with_what_it_needs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = "".join(
        f'[speech.models.{name}]\nresidence = "on_demand"\n' for name in ("base", "small")
    )
    text = (plans.PLANS / "rtx3090.toml").read_text(encoding="utf-8")
    (tmp_path / "turns.toml").write_text(text + models, encoding="utf-8")
    monkeypatch.setattr(plans, "PLANS", tmp_path)
    _, table = shown(capsys, "--plan", "turns")
    assert "on demand, one at a time: base 0.31 GiB, small 0.68 GiB; the ledger has" in table
    assert "whisper_small" in table
    assert "tritonserver, whisper_base" not in table
    _, found = as_json(capsys, "--plan", "turns")
    assert found["on_demand"] == ["base", "small"]


def test_auto_asks_which_card_is_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match, "pick", lambda tell: "a40")
    _, found = as_json(capsys, PLAN="auto")
    assert found["plan"] == "a40"


@pytest.mark.parametrize("text", ["0", "-3", "many", "nan", "inf"])
def test_an_odd_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="VRAM_GIB"):
        plan.main(["--plan", "rtx3090"], {"VRAM_GIB": text})

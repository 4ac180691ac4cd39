"""The verb helm: what follows from a plan, and what the chart cannot serve."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from build_scripts.errors import PlanError
from build_scripts.fleet import helm
from build_scripts.plans import plan
from build_scripts.plans.schema import Serving


def test_values_are_yaml_of_every_plan(capsys: pytest.CaptureFixture[str]) -> None:
    helm.main(["--plan", "rtx3090", "--plan", "a10", "--max-replicas", "2"], {})
    found = yaml.safe_load(capsys.readouterr().out)["servers"]
    assert list(found) == ["rtx3090", "a10"]
    for name, server in found.items():
        assert server == helm.server(plan.load(name), {}, max_replicas=2)


def test_the_dial_and_the_knobs_go_along_and_nothing_else() -> None:
    environment = {"PLAN": "rtx4090", "VRAM_GIB": "22", "LLM_MAX_TOKENS_IN_KV_CACHE": "4096",
                   "HF_TOKEN": "secret", "MAX_ATTENTION_WINDOW_SIZE": ""}  # fmt: skip
    knobs = {name: text for name, text in environment.items() if helm.KNOBS.fullmatch(name)}
    assert knobs.keys() == {"VRAM_GIB", "LLM_MAX_TOKENS_IN_KV_CACHE", "MAX_ATTENTION_WINDOW_SIZE"}
    assert helm.server(plan.load("rtx4090"), {"VRAM_GIB": "22"})["env"] == {"VRAM_GIB": "22"}


def test_a_card_with_error_correction_is_found() -> None:
    """It shows a sixteenth less than its datasheet says."""
    a10 = helm.server(plan.load("a10"), {})
    card = plan.load("a10").card
    assert card is not None
    assert a10["card"]["aboveMiB"] < card.vram_gib * 1024 * 15 / 16


def test_the_threshold_is_what_a_card_does_in_two_minutes() -> None:
    scaling = helm.server(plan.load("rtx3090"), {})["scaling"]
    assert scaling["audioSecondsPerReplica"] == round(120 * helm.rate(plan.load("rtx3090")))
    assert helm.rate(plan.load("rtx4090")) > helm.rate(plan.load("rtx3090")) > helm.CPU_RATE


def test_what_the_chart_cannot_serve_is_refused() -> None:
    two = dataclasses.replace(plan.load("rtx3090"), serving=Serving("two_servers"))
    with pytest.raises(PlanError, match="one pod a card"):
        helm.server(two, {})
    with pytest.raises(PlanError, match="wanted 1 or more"):
        helm.server(plan.load("cpu"), {}, max_replicas=0)

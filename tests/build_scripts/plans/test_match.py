"""PLAN=auto: which plan a GPU gets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from build_scripts import gpus
from build_scripts.errors import PlanError
from build_scripts.plans import match, plan
from build_scripts.plans.schema import Card, Plan
from tests.build_scripts.fake_nvml import gpu


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    reference = plan.load("rtx3090")
    stated = {
        "rtx3090": Card("RTX 3090", 86, 24.0, 2.0),
        "a10": Card("A10", 86, 24.0, 2.0),
        "a40": Card("A40", 86, 48.0, 2.0),
        "l4": Card("L4", 89, 24.0, 2.0),
    }
    made = [dataclasses.replace(reference, name=name, card=card) for name, card in stated.items()]
    return [*made, dataclasses.replace(reference, name="cpu", card=None, fit=None)]


def test_without_a_gpu_it_is_the_cpu(plans: list[Plan]) -> None:
    assert match.choose([], plans) == match.Choice("cpu")


@pytest.mark.parametrize(
    ("name", "sm", "gib", "wanted"),
    [
        ("NVIDIA GeForce RTX 3090", 86, 24.0, "rtx3090"),
        ("NVIDIA A40", 86, 45.0, "a40"),  # 48 GB less error correction
        ("NVIDIA A10", 86, 22.5, "a10"),
        ("NVIDIA L4", 89, 22.5, "l4"),
    ],
)
def test_a_card_gets_its_own_plan(
    plans: list[Plan], name: str, sm: int, gib: float, wanted: str
) -> None:
    assert match.choose([gpu(name, sm, gib)], plans) == match.Choice(wanted)


def test_a_card_that_no_plan_names_gets_the_largest_that_fits_and_a_warning(
    plans: list[Plan],
) -> None:
    found = match.choose([gpu("NVIDIA RTX A6000", 86, 48.0)], plans)
    assert found.plan == "a40"
    assert "RTX A6000" in found.warning
    assert match.choose([gpu("NVIDIA A10G", 86, 22.5)], plans).plan in ("a10", "rtx3090")


def test_a_name_is_matched_by_whole_words(plans: list[Plan]) -> None:
    found = match.choose([gpu("NVIDIA L40", 89, 48.0)], plans)
    assert found.warning  # plan l4 is the only one of its compute capability, and not its own


def test_a_card_that_holds_no_plan_gets_the_cpu_and_a_warning(plans: list[Plan]) -> None:
    for small in (gpu("NVIDIA GeForce RTX 3060", 86, 12.0), gpu("NVIDIA H100", 90, 80.0)):
        found = match.choose([small], plans)
        assert found.plan == "cpu"
        assert small.name in found.warning


def test_of_several_the_one_with_most_memory_counts(plans: list[Plan]) -> None:
    pair = [gpu("NVIDIA L4", 89, 22.5), gpu("NVIDIA A40", 86, 45.0, index=1)]
    assert match.choose(pair, plans).plan == "a40"


def test_auto_is_resolved_and_the_doubt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "gpus", lambda: [gpu("NVIDIA GeForce RTX 3060", 86, 12.0)])
    told: list[str] = []
    assert match.pick(told.append) == "cpu"
    assert told
    assert told[0].startswith("warning: no plan fits")
    monkeypatch.setattr(gpus, "gpus", list)
    assert match.resolve("auto") == "cpu"
    assert match.resolve("rtx3090") == "rtx3090"


def test_a_plan_with_a_fault_is_passed_over_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("cpu", "rtx3090"):
        (tmp_path / f"{name}.toml").write_bytes((plan.PLANS / f"{name}.toml").read_bytes())
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    (tmp_path / "draft.toml").write_text("models = 5\n")
    monkeypatch.setattr(plan, "PLANS", tmp_path)
    monkeypatch.setattr(gpus, "gpus", lambda: [gpu("NVIDIA GeForce RTX 3090", 86, 24.0)])
    told: list[str] = []
    assert match.pick(told.append) == "rtx3090"
    assert [line.split("`")[1] for line in told] == ["draft", "latin"]
    assert "not UTF-8" in told[1]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([gpu("NVIDIA H100", 90, 80.0)], r"^no plan fits `NVIDIA H100` \(80\.0 GiB, SM90\)"),
        ([], "^no GPU was found"),
    ],
)
def test_nvidia_s_triton_is_not_given_the_plan_that_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch, nvidia: Path, found: list[gpus.Gpu], message: str
) -> None:
    monkeypatch.setattr(gpus, "gpus", lambda: found)
    told: list[str] = []
    with pytest.raises(PlanError, match=message) as raised:
        match.pick(told.append, nvidia)
    assert "rtx3090 (RTX 3090, SM86, " in str(raised.value)
    assert "PLAN=" in str(raised.value)
    assert match.pick(told.append, nvidia / "elsewhere") == "cpu"


def test_nvidia_s_triton_is_given_the_card_s_plan(
    monkeypatch: pytest.MonkeyPatch, nvidia: Path
) -> None:
    monkeypatch.setattr(gpus, "gpus", lambda: [gpu("NVIDIA GeForce RTX 3090", 86, 24.0)])
    assert match.pick(print, nvidia) == "rtx3090"

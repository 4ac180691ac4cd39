"""A plan in other amounts of memory: what gives way, what grows, and what never changes alone."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from build_scripts.console import GIB
from build_scripts.memory import cures
from build_scripts.memory.fit import fit_plan
from build_scripts.memory.ledger import compute_ledger
from build_scripts.plans import plan
from build_scripts.plans.schema import Fit, Plan

CARDS = [name for name in plan.names() if plan.load(name).card is not None]


def at(vram_gib: float, name: str = "rtx3090") -> Plan:
    return plan.with_vram(plan.load(name), vram_gib)


def cheapest(plan: Plan) -> list[cures.Cure]:
    return cures.cheapest(plan, compute_ledger(plan, {}), {})


def limits(found: Plan) -> Fit:
    assert found.fit is not None
    return found.fit


@pytest.mark.parametrize("name", CARDS)
def test_a_plan_is_for_its_own_card_as_it_was_stated(name: str) -> None:
    stated = plan.load(name)
    found = fit_plan(stated, {})
    assert found.fits
    assert found.plan == stated
    assert found.changes == ()


def test_the_plan_without_a_card_stays_as_it_is() -> None:
    assert fit_plan(plan.load("cpu"), {}).plan == plan.load("cpu")


@settings(max_examples=50, deadline=None)
@given(vram=st.floats(9, 120), name=st.sampled_from(CARDS))
def test_what_comes_out_fits_and_keeps_its_limits(vram: float, name: str) -> None:
    stated = at(vram, name)
    found = fit_plan(stated, {})
    fit = limits(stated)
    assert found.fits == compute_ledger(found.plan, {}).fits
    assert (found.changes == ()) == (found.plan == stated)
    allowed = (stated.speech.precision, *fit.precisions)
    assert found.plan.speech.precision in allowed
    assert fit.min_chunks_in_flight <= found.plan.speech.chunks_in_flight
    assert found.plan.speech.chunks_in_flight <= fit.max_chunks_in_flight
    assert fit.min_context_tokens <= found.plan.llm.context_tokens <= fit.max_context_tokens
    assert fit_plan(stated, {}) == found


def test_chunks_give_way_before_the_context() -> None:
    stated = plan.load("rtx3090")
    full = compute_ledger(stated, {}).total_bytes / GIB + 2.0
    found = fit_plan(at(full - 0.3), {})
    assert found.plan.speech.chunks_in_flight == 1
    assert found.plan.llm == stated.llm
    assert "speech.chunks_in_flight: 3 -> 1" in found.changes
    found = fit_plan(at(full - 1.7), {})
    assert found.plan.speech.chunks_in_flight == 1
    assert 6144 <= found.plan.llm.context_tokens < 8192
    assert found.plan.llm.kv_tokens == found.plan.llm.context_tokens


def test_the_context_grows_before_the_chunks() -> None:
    stated = plan.load("rtx3090")
    found = fit_plan(at(25.5), {})
    assert found.plan.llm.context_tokens == 16384
    assert found.plan.speech == stated.speech
    found = fit_plan(at(40), {})
    assert found.plan.llm.context_tokens == limits(stated).max_context_tokens
    assert found.plan.speech.chunks_in_flight == 12


def test_precision_never_changes_without_leave() -> None:
    stated = dataclasses.replace(plan.load("rtx5090"), fit=None)
    fit = Fit(6, 6, 32768, 32768)
    tight = plan.with_vram(dataclasses.replace(stated, fit=fit), 30.5)
    assert not fit_plan(tight, {}).fits
    allowed = dataclasses.replace(tight, fit=dataclasses.replace(fit, precisions=("int8",)))
    found = fit_plan(allowed, {})
    assert found.fits
    assert found.changes == ("speech.precision: float16 -> int8",)


def test_more_memory_never_makes_less_of_a_plan() -> None:
    before = (0, 0)
    for quarter in range(23 * 4, 40 * 4):
        found = fit_plan(at(quarter / 4), {})
        now = (found.plan.llm.context_tokens, found.plan.speech.chunks_in_flight)
        assert now >= before, quarter / 4
        before = now


@pytest.mark.parametrize("vram_gib", [12.0, 16.0, 19.0, 20.0, 21.0, 22.0])
def test_two_cures_make_it_fit_each_cheaper_than_the_next(vram_gib: float) -> None:
    short = at(vram_gib)
    first, second = cheapest(short)
    assert first.loss <= second.loss
    missing = -compute_ledger(short, {}).left_bytes
    assert min(first.saves_bytes, second.saves_bytes) >= missing
    for cure in (first, second):
        assert all(change.costs and change.says for change in cure.changes)
    assert [c.says for c in first.changes] != [c.says for c in second.changes]


def test_the_docs_range_of_the_dial_is_the_reference() -> None:
    text = Path("docs/gpu/plans.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d.]+) GiB \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    assert len(rows) == 6
    for number, *values in rows:
        step = tuple(map(int, values))
        below, at_it = fit_plan(at(float(number) - 0.1), {}), fit_plan(at(float(number)), {})
        found = (at_it.plan.speech.chunks_in_flight, at_it.plan.llm.context_tokens)
        assert at_it.fits
        assert found == step
        before = (below.plan.speech.chunks_in_flight, below.plan.llm.context_tokens)
        assert not below.fits or before != step
    assert fit_plan(at(200), {}).plan.speech.chunks_in_flight == 12


def test_cures_name_only_models_of_which_engines_can_be_made() -> None:
    stated = plan.load("rtx3090")
    smaller = [change.plan.llm.architecture for change in cures._llms(stated)]
    assert smaller == ["mistral-nemo-12b", "llama-3.1-8b", "mistral-7b"]
    qwen = dataclasses.replace(stated.llm, architecture="qwen2.5-32b")
    of_qwen = [change.plan for change in cures._llms(dataclasses.replace(stated, llm=qwen))]
    assert {one.llm.architecture for one in of_qwen} == {"mistral-small-24b", *smaller}


def test_a_small_shortfall_is_cured_by_what_nobody_notices() -> None:
    missing = at(24.0 - 0.2)
    for cure in cheapest(missing):
        assert all(change.key.endswith(("batch_size", "max_num_tokens", "max_loaded", "in_flight"))
                   for change in cure.changes)  # fmt: skip

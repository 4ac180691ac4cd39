"""The caps of the KV caches: what follows from the ledger, and what the environment changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from build_scripts.console import GIB
from build_scripts.errors import PlanError
from build_scripts.memory import cures, shapes
from build_scripts.memory.engines import lines_of, num_bytes
from build_scripts.memory.kv_cache import (
    CROSS_FRACTION,
    FRACTION,
    NAMES,
    TOKENS,
    WINDOW,
    KvCaps,
    overridden_caps,
    planned_caps,
)
from build_scripts.memory.ledger import compute_ledger
from build_scripts.plans import plan
from build_scripts.plans.schema import Further, Plan, Serving

CARDS = [name for name in plan.names() if plan.load(name).card is not None]


def reference() -> Plan:
    return plan.load("rtx3090")


def caps(plan: Plan, environment: Mapping[str, str] = MappingProxyType({})) -> KvCaps:
    ledger = None if plan.card is None else compute_ledger(plan, {})
    planned = planned_caps(plan, ledger)
    return overridden_caps(plan, ledger, planned, environment, {})[0]


def test_the_reference() -> None:
    found = caps(reference())
    assert found["llm"][TOKENS] == found["llm"][WINDOW] == 8192
    assert found["whisper"][TOKENS] == 3 * 5 * 14 * 32
    assert found["whisper"][WINDOW] == 448
    assert CROSS_FRACTION not in found["llm"]
    assert set(NAMES) <= set(found["llm"])
    assert {*NAMES, CROSS_FRACTION} == set(found["whisper"])


def turn(found: Plan, engine: str) -> tuple[int, int]:
    """What is free when an engine sizes its pools, and what comes after it."""
    lines, card = compute_ledger(found, {}).lines, found.card
    assert card is not None
    of_whisper = {
        id(line)
        for line in lines
        if line.engine == "whisper" or line.process == "tritonserver (speech)"
    }
    later = [line for line in lines if line.process in ("align", "diarize")]
    if engine == "llm":
        later += [line for line in lines if id(line) in of_whisper]
    waiting = {id(line) for line in later}
    there = sum(
        line.bytes
        for line in lines
        if id(line) not in waiting
        and (line.kind != "kv" or (id(line) in of_whisper) != (engine == "whisper"))
    )
    return int(card.vram_gib * GIB) - there, sum(line.bytes for line in later)


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("engine", ["llm", "whisper"])
def test_an_engine_that_heeds_no_cap_leaves_what_the_rest_needs(name: str, engine: str) -> None:
    found = plan.load(name)
    fraction = caps(found)[engine][FRACTION]
    free, later = turn(found, engine)
    assert fraction < 1
    assert (1 - fraction) * free >= later
    spare = compute_ledger(found, {}).free_bytes
    # What it was meant to have is there, also where others took half of the spare memory.
    pool = free - later - spare
    assert pool > 0
    assert fraction * (free - spare // 2) >= pool


@pytest.mark.parametrize("name", CARDS)
def test_of_two_servers_the_first_may_be_started_again(name: str) -> None:
    found = dataclasses.replace(plan.load(name), serving=Serving("two_servers"))
    pool = sum(
        line.bytes
        for line in compute_ledger(found, {}).lines
        if (line.process, line.kind) == ("tritonserver (llm)", "kv")
    )
    free = pool + compute_ledger(found, {}).free_bytes
    assert caps(found)["llm"][FRACTION] * free >= pool


def test_both_pools_of_whisper_reach_their_cap() -> None:
    whisper = caps(reference())["whisper"]
    free, _ = turn(reference(), "whisper")
    cap_bytes = whisper[TOKENS] * 163_840
    for share in (whisper[CROSS_FRACTION], 1 - whisper[CROSS_FRACTION]):
        assert free * whisper[FRACTION] * share >= cap_bytes


def test_without_a_card_they_are_what_the_cpu_backend_counts_by() -> None:
    found = caps(plan.load("cpu"))
    assert found["whisper"] == {TOKENS: 24576, WINDOW: 448, FRACTION: 0.5, CROSS_FRACTION: 0.5}
    assert found["llm"] == {TOKENS: 16384, WINDOW: 8192}


def test_an_empty_environment_changes_nothing() -> None:
    assert caps(reference(), {TOKENS: ""}) == caps(reference())


@pytest.mark.parametrize("prefix", ["", "LLM_"])
def test_the_recipes_names_are_the_llms(prefix: str) -> None:
    environment = {prefix + TOKENS: "4096", prefix + WINDOW: "4096"}
    found = caps(reference(), environment)
    assert found["llm"][TOKENS] == found["llm"][WINDOW] == 4096
    assert found["whisper"][TOKENS] == caps(reference())["whisper"][TOKENS]


def test_whispers_have_a_prefix() -> None:
    found = caps(reference(), {"WHISPER_" + TOKENS: "3008"})
    assert found["whisper"][TOKENS] == 3008
    assert found["llm"][TOKENS] == 8192


def test_a_fraction_may_be_raised() -> None:
    found = caps(reference(), {FRACTION: "0.9"})
    assert found["llm"][FRACTION] == 0.9


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({TOKENS: "32768"}, "at most 22.00 fit"),
        ({"WHISPER_" + TOKENS: "9024"}, "WHISPER_MAX_TOKENS_IN_KV_CACHE from the environment"),
        ({WINDOW: "16384", TOKENS: "16384"}, "at most 8192"),
        ({TOKENS: "4096"}, "would shorten the window"),
        ({"WHISPER_" + WINDOW: "224"}, "must be 448"),
        ({"WHISPER_" + TOKENS: "1024"}, "at least 3008"),
        ({FRACTION: "0.1"}, "at its turn the engine"),
        ({"WHISPER_" + FRACTION: "0.1"}, "WHISPER_KV_CACHE_FREE_GPU_MEM_FRACTION is 0.1"),
        ({FRACTION: "1.0"}, "above 0 and below 1"),
        ({FRACTION: "nan"}, "above 0 and below 1"),
        ({TOKENS: "8k"}, "must be a whole number"),
        ({TOKENS: "-1"}, "must be a whole number above 0"),
        ({TOKENS: "4096", "LLM_" + TOKENS: "8192"}, "both set the LLM's knob"),
    ],
)
def test_what_breaks_the_ledger_or_the_engine_is_refused(
    environment: dict[str, str], says: str
) -> None:
    with pytest.raises(PlanError, match=says.replace("(", r"\(")):
        caps(reference(), environment)


def test_what_just_fits_is_allowed_and_a_block_more_is_not() -> None:
    left = compute_ledger(reference(), {}).left_bytes
    blocks = left // (32 * 163_840)
    assert blocks >= 1
    assert caps(reference(), {TOKENS: str(8192 + 32 * blocks)})
    with pytest.raises(PlanError, match=r"at most 22\.00 fit"):
        caps(reference(), {TOKENS: str(8192 + 32 * (blocks + 1))})


def with_a_further_one(plan_name: str, topology: str = "one_process") -> Plan:
    found = plan.load(plan_name)
    speech = dataclasses.replace(found.speech, models={"small": Further()})
    return dataclasses.replace(found, speech=speech, serving=Serving(topology))  # type: ignore[arg-type]


@pytest.mark.parametrize("topology", ["one_process", "two_servers"])
def test_a_further_whisper_has_lines_and_caps_of_its_own(topology: str) -> None:
    """An engine that heeds no cap leaves what loads after it, the further one last of the three."""
    found = with_a_further_one("a40", topology)
    ledger = compute_ledger(found, {})
    less = compute_ledger(dataclasses.replace(found, speech=plan.load("a40").speech), {})
    brought = ledger.engine_bytes("whisper_small")
    assert ledger.total_bytes - less.total_bytes == brought > 0
    assert ledger.engine_bytes("whisper") == less.engine_bytes("whisper")
    shape = shapes.whisper("small")
    pools = ledger.engine_bytes("whisper_small", "kv")
    caps_of = caps(found)
    assert pools == 2 * caps_of["whisper_small"][TOKENS] * shape.kv_bytes_per_token
    assert caps_of["whisper_small"][TOKENS] == caps_of["whisper"][TOKENS]
    spare = ledger.free_bytes
    torch = sum(size for name, size in ledger.by_process().items() if name in ("align", "diarize"))
    free = pools + spare + torch
    assert (1 - caps_of["whisper_small"][FRACTION]) * free >= torch
    free = ledger.engine_bytes("whisper", "kv") + brought + spare + torch
    assert (1 - caps_of["whisper"][FRACTION]) * free >= brought + torch


@pytest.mark.parametrize("topology", ["one_process", "two_servers"])
def test_whispers_on_demand_have_the_room_of_the_largest_and_find_it_free(topology: str) -> None:
    """Whichever is loaded last of all fills its pools, and no more than the room is left for."""
    alone = with_a_further_one("a40", topology)
    resident = compute_ledger(alone, {})
    on_demand = Further(residence="on_demand")
    speech = dataclasses.replace(alone.speech, models={"base": on_demand, "small": on_demand})
    found = dataclasses.replace(alone, speech=speech)
    ledger = compute_ledger(found, {})
    assert ledger.total_bytes == resident.total_bytes
    assert ledger.engine_bytes("whisper_base") == 0
    room = ledger.engine_bytes("whisper_small")
    assert room == resident.engine_bytes("whisper_small")
    caps_of = caps(found)
    assert caps_of["whisper"] == caps(alone)["whisper"]
    assert caps_of["llm"] == caps(alone)["llm"]
    for whisper in found.on_demand:
        own = lines_of(found, whisper, {})
        pools = num_bytes(own, "kv")
        free = pools + room - num_bytes(own) + ledger.free_bytes
        share = caps_of[whisper.engine][FRACTION] * free
        assert pools <= share <= free


def test_a_plan_with_several_further_whispers_is_told_that_they_may_take_turns() -> None:
    found = plan.load("rtx3090")
    speech = dataclasses.replace(found.speech, models={"base": Further(), "small": Further()})
    found = dataclasses.replace(found, speech=speech, fit=None)
    (turns,) = [one for one in cures._changes(found) if "on_demand" in one.says]
    saved = compute_ledger(found, {}).total_bytes - compute_ledger(turns.plan, {}).total_bytes
    assert saved == compute_ledger(found, {}).engine_bytes("whisper_base")


def test_a_card_that_has_no_room_for_a_further_whisper_is_told_to_leave_it_out() -> None:
    found = with_a_further_one("rtx3090")
    found = dataclasses.replace(found, fit=None)
    ledger = compute_ledger(found, {})
    assert not ledger.fits
    keys = {one.says for one in cures._changes(found)}
    assert "without [speech.models.small]" in keys


def test_a_further_whisper_s_caps_have_its_name() -> None:
    found = with_a_further_one("a40")
    changed = caps(found, {"WHISPER_SMALL_" + TOKENS: "3008"})
    assert changed["whisper_small"][TOKENS] == 3008
    assert changed["whisper"][TOKENS] == caps(found)["whisper"][TOKENS]
    with pytest.raises(PlanError, match="WHISPER_SMALL_MAX_ATTENTION_WINDOW_SIZE is 224, must be"):
        caps(found, {"WHISPER_SMALL_" + WINDOW: "224"})

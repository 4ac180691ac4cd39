"""The knobs: what follows from the ledger, and what an environment may make of it."""

from __future__ import annotations

import pytest

from build_scripts import knobs, ledger, plan
from build_scripts.errors import PlanError
from build_scripts.knobs import CROSS_FRACTION, FRACTION, NAMES, TOKENS, WINDOW
from build_scripts.plan import Plan

CARDS = [name for name in plan.names() if plan.load(name).card is not None]


def reference() -> Plan:
    return plan.load("rtx3090")


def pools(found: Plan) -> dict[str, int]:
    """Bytes of the KV pools of each engine."""
    lines = [line for line in ledger.ledger(found).lines if line.kind == "kv"]
    found_bytes = {"whisper": 0, "llm": 0}
    for line in lines:
        found_bytes["llm" if line.process == "llm worker" else "whisper"] += line.bytes
    return found_bytes


def test_the_reference() -> None:
    found = knobs.knobs(reference())
    assert found["llm"][TOKENS] == found["llm"][WINDOW] == 8192
    assert found["whisper"][TOKENS] == 3 * 47 * 32
    assert found["whisper"][WINDOW] == 448
    assert CROSS_FRACTION not in found["llm"]
    assert set(NAMES) <= set(found["llm"])
    assert {*NAMES, CROSS_FRACTION} == set(found["whisper"])


@pytest.mark.parametrize("name", CARDS)
def test_the_fraction_never_binds_and_bounds_a_runaway(name: str) -> None:
    found = plan.load(name)
    spare = ledger.ledger(found).free_bytes
    for engine, pool in pools(found).items():
        fraction = knobs.knobs(found)[engine][FRACTION]
        # Whoever loads last finds its own pool and the spare memory free, or half of that.
        for free in (pool + spare, pool + spare // 2):
            assert fraction * free >= pool
        assert fraction < 1
        assert (1 - fraction) * (pool + spare) >= 0.3 * spare  # what a runaway cannot take


def test_both_pools_of_whisper_reach_their_cap() -> None:
    caps = knobs.knobs(reference())["whisper"]
    free = pools(reference())["whisper"] + ledger.ledger(reference()).free_bytes
    cap_bytes = caps[TOKENS] * 163_840
    for share in (caps[CROSS_FRACTION], 1 - caps[CROSS_FRACTION]):
        assert free * caps[FRACTION] * share >= cap_bytes


def test_without_a_card_they_are_what_the_cpu_backend_counts_by() -> None:
    found = knobs.knobs(plan.load("cpu"))
    assert found["whisper"] == {TOKENS: 24576, WINDOW: 448, FRACTION: 0.5, CROSS_FRACTION: 0.5}
    assert found["llm"] == {TOKENS: 16384, WINDOW: 8192}


def test_an_empty_environment_changes_nothing() -> None:
    assert knobs.overridden(reference(), {TOKENS: ""}) == knobs.knobs(reference())


@pytest.mark.parametrize("prefix", ["", "LLM_"])
def test_the_recipes_names_are_the_llms(prefix: str) -> None:
    environment = {prefix + TOKENS: "4096", prefix + WINDOW: "4096"}
    found = knobs.overridden(reference(), environment)
    assert found["llm"][TOKENS] == found["llm"][WINDOW] == 4096
    assert found["whisper"][TOKENS] == knobs.knobs(reference())["whisper"][TOKENS]


def test_whispers_have_a_prefix() -> None:
    found = knobs.overridden(reference(), {"WHISPER_" + TOKENS: "3008"})
    assert found["whisper"][TOKENS] == 3008
    assert found["llm"][TOKENS] == 8192


def test_a_fraction_may_be_raised() -> None:
    found = knobs.overridden(reference(), {FRACTION: "0.9"})
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
        ({FRACTION: "0.1"}, "an engine that loads last"),
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
        knobs.overridden(reference(), environment)


def test_what_just_fits_is_allowed_and_a_block_more_is_not() -> None:
    left = ledger.ledger(reference()).left_bytes
    blocks = left // (32 * 163_840)
    assert blocks >= 1
    assert knobs.overridden(reference(), {TOKENS: str(8192 + 32 * blocks)})
    with pytest.raises(PlanError, match=r"at most 22\.00 fit"):
        knobs.overridden(reference(), {TOKENS: str(8192 + 32 * (blocks + 1))})

"""A plan is read whole or refused with the place, what was found and what was wanted."""

import re

import pytest

from build_scripts import plan
from build_scripts.errors import PlanError

RTX3090 = (plan.PLANS / "rtx3090.toml").read_text()
CPU = (plan.PLANS / "cpu.toml").read_text()


def without(text: str, key: str) -> str:
    """`text` without the line that sets `key`."""
    found, count = re.subn(rf"(?m)^{key} = .*\n", "", text)
    assert count
    return found


def with_value(text: str, key: str, value: str) -> str:
    found, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    assert count
    return found


@pytest.mark.parametrize("name", plan.names())
def test_every_plan_can_be_read(name):
    found = plan.load(name)
    assert found.name == name
    assert (found.card is None) == (name == plan.DEFAULT_PLAN)
    assert (found.fit is None) == (found.card is None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vram_gib", '"24"', "card.vram_gib is `'24'`, must be a number"),
        ("vram_gib", "true", "card.vram_gib is `True`, must be a number"),
        ("vram_gib", "0.5", "card.vram_gib is `0.5`, must be at least 1"),
        ("headroom_gib", "24.0", "headroom_gib is `24.0`, must be less than card.vram_gib, `24.0`"),
        ("sm", "8.6", "card.sm is `8.6`, must be a whole number"),
        ("model", '"large-v4"', 'speech.model is `large-v4`, must be one of "base"'),
        ("chunks_in_flight", "0", "speech.chunks_in_flight is `0`, must be at least 1"),
        ("preload", '"en"', "align.preload is `'en'`, must be a list"),
        ("preload", "[1]", "align.preload is `1`, must be a text"),
        ("kv_tokens", "4096", "kv_tokens is `4096`, must be at least llm.context_tokens, `8192`"),
        ("categories", "[]", "must not be empty"),
        ("topology", '"one"', '`one`, must be one of "orchestrator", "one_process", "two_servers"'),
        ("precisions", '["int4"]', 'fit.precisions is `int4`, must be one of "float16", "int8"'),
    ],
)
def test_a_value_that_cannot_be_is_refused(key, value, message):
    with pytest.raises(PlanError, match=r"^here: ") as raised:
        plan.parse("odd", with_value(RTX3090, key, value), "here")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RTX3090.replace("beam_width =", "beam_widht ="),
            "unknown key `beam_widht` in speech; known: beam_width",
        ),
        (RTX3090.replace("[align]", "[algin]"), "unknown key `algin` in the top; known: align"),
        (without(RTX3090, "beam_width"), "speech.beam_width is missing"),
        (CPU.replace("[speech]", "[chats]").replace("[chats]", "[chat.x]"), "there is no [speech]"),
        (RTX3090.partition("\n[fit]")[0], "[card] and [fit] go together"),
        (
            "speech = 7\n" + CPU.replace("[speech]", "[models.x]"),
            "`speech` is `7`, must be a section",
        ),
        ("[card", "is not TOML"),
    ],
)
def test_what_is_missing_or_not_known_is_named(text, message):
    with pytest.raises(PlanError) as raised:
        plan.parse("odd", text, "here")
    assert message in str(raised.value)


def test_a_plan_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(PlanError, match=r"no plan `rtx`; there are: .*cpu.*rtx3090"):
        plan.load("rtx")


def test_the_dial_changes_the_memory_and_nothing_else():
    found = plan.load("rtx3090")
    turned = plan.with_vram(found, 16.0)
    assert turned.card.vram_gib == 16.0
    assert plan.with_vram(turned, 24.0) == found
    with pytest.raises(PlanError, match="`cpu` states no card"):
        plan.with_vram(plan.load("cpu"), 16.0)

"""A plan is read whole or refused with the place, what was found and what was wanted."""

import re

import pytest

from build_scripts.errors import PlanError
from build_scripts.plans import plan, schema

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
    assert (found.card is None) == (name in (schema.DEFAULT_PLAN, "cpu-models"))
    assert (found.fit is None) == (found.card is None)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vram_gib", '"24"', "card.vram_gib is `'24'`, must be a number"),
        ("vram_gib", "true", "card.vram_gib is `True`, must be a number"),
        ("vram_gib", "0.5", "card.vram_gib is `0.5`, must be at least 1"),
        ("headroom_gib", "24.0", "headroom_gib is `24.0`, must be less than card.vram_gib, `24.0`"),
        ("vram_gib", "inf", "card.vram_gib is `inf`, must be a finite number"),
        ("vram_gib", "nan", "card.vram_gib is `nan`, must be a finite number"),
        ("vram_gib", "1e300", "card.vram_gib is `1e+300`, must be at most 10000"),
        ("vram_gib", "1" + "0" * 400, "card.vram_gib is a number beyond 64 bits"),
        ("headroom_gib", "nan", "card.headroom_gib is `nan`, must be a finite number"),
        ("sm", "8.6", "card.sm is `8.6`, must be a whole number"),
        ("sm", "8", "card.sm is `8`, must be at least 50"),
        ("name", '" "', "card.name is ` `, must not be empty"),
        ("checkpoint", '""', "llm.checkpoint is ``, must not be empty"),
        ("architecture", '""', "llm.architecture is ``, must be stated beside a [card]"),
        ("quantisation", '"gguf"', "llm.quantisation is `gguf`, must be another one"),
        ("pipeline", '""', "diarize.pipeline is ``, must not be empty"),
        ("max_tokens", "0", "chat.max_tokens is `0`, must be at least 1"),
        ("max_tokens", "8193", "`8193`, must be at most llm.context_tokens, `8192`"),
        ("temperature", "-0.1", "chat.temperature is `-0.1`, must be at least 0"),
        ("temperature", "2.1", "chat.temperature is `2.1`, must be at most 2"),
        ("priorities", '["high", ""]', "one of triage.priorities is ``, must not be empty"),
        ("categories", '["a,b"]', "one of triage.categories is `a,b`, must have no comma"),
        ("categories", '["a", "b", "a"]', "triage.categories names `a` twice"),
        ("min_chunks_in_flight", "0", "fit.min_chunks_in_flight is `0`, must be at least 1"),
        ("min_chunks_in_flight", "17", "`17`, must be at most fit.max_chunks_in_flight, `16`"),
        ("min_context_tokens", "0", "fit.min_context_tokens is `0`, must be at least 1"),
        ("max_context_tokens", "1", "must be at most fit.max_context_tokens, `1`"),
        ("model", '"large-v4"', 'speech.model is `large-v4`, must be one of "base"'),
        ("chunks_in_flight", "0", "speech.chunks_in_flight is `0`, must be at least 1"),
        ("preload", '"en"', "align.preload is `'en'`, must be a list"),
        ("preload", '["en", "en"]', "align.preload names `en` twice"),
        ("preload", "[1]", "align.preload is `1`, must be a text"),
        ("preload", '["en", "de"]', "align.max_loaded is `1`, must be at least 2, as many as"),
        ("preload", '["ge"]', "align.preload names `ge`, must be languages that there are"),
        ("languages", '["xx"]', "align.languages names `xx`, must be languages"),
        ("kv_tokens", "4096", "kv_tokens is `4096`, must be at least llm.context_tokens, `8192`"),
        ("categories", "[]", "triage.categories is `[]`, must not be empty"),
        ("topology", '"one"', '`one`, must be one of "one_process", "two_servers", "orchestrator"'),
        ("precisions", '["int4"]', 'fit.precisions is `int4`, must be one of "float16", "int8"'),
    ],
)
def test_a_value_that_cannot_be_is_refused(key, value, message):
    with pytest.raises(PlanError, match=r"^here: ") as raised:
        plan.parse("odd", with_value(RTX3090, key, value), "here")
    assert message in str(raised.value)


def test_the_orchestrator_is_refused_with_the_reason_and_the_cure():
    with pytest.raises(PlanError, match=r"one model path.*without its encoder") as raised:
        plan.parse("odd", with_value(RTX3090, "topology", '"orchestrator"'), "here")
    assert str(raised.value).startswith("here: serving.topology is `orchestrator`")
    assert str(raised.value).endswith('write topology = "one_process"')


@pytest.mark.parametrize("name", plan.names())
def test_every_plan_serves_both_engines_in_one_process(name):
    assert plan.load(name).serving.topology == "one_process"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RTX3090.replace("beam_width =", "beam_widht ="),
            "unknown key `beam_widht` in speech; known: beam_width",
        ),
        (RTX3090.replace("[align]", "[algin]"), "unknown key `algin` in the top; known: align"),
        (without(RTX3090, "beam_width"), "speech.beam_width is missing"),
        ("[models]\nwhisper = 5\n" + CPU, "`models.whisper` is `5`, must be a section"),
        (CPU.replace("[speech]", "[chats]").replace("[chats]", "[chat.x]"), "there is no [speech]"),
        (RTX3090.partition("\n[fit]")[0], "[card] and [fit] go together"),
        (
            "speech = 7\n" + CPU.replace("[speech]", "[models.x]"),
            "`speech` is `7`, must be a section",
        ),
        ("[card", "is not TOML"),
        ("n = 1" + "0" * 5000, "is not TOML"),
        ("models = 5\n" + CPU, "`models` is `5`, must be a section"),
        ("models = [1]\n" + CPU, "`models` is `[1]`, must be a section"),
        (
            CPU.replace("[align]", '[align]\nlanguages = ["de"]'),
            "align.languages names what `engines` fetches for a card, must be left out without",
        ),
        (without(CPU, "engine"), "llm.engine is ``, must be stated where there is no [card]"),
        (
            RTX3090.replace("[llm]", '[llm]\nengine = "openvino"'),
            "llm.engine is `openvino`, must not be stated beside a [card]",
        ),
        (
            RTX3090.replace("[triage]", "[triage]\nconfidence_threshold = 1.5"),
            "triage.confidence_threshold is `1.5`, must be at most 1",
        ),
        (
            RTX3090.replace("[triage]", "[triage]\nmax_speech_wait_s = inf"),
            "triage.max_speech_wait_s is `inf`, must be a finite number",
        ),
        (
            RTX3090.replace("[triage]", "[triage]\nmax_speech_wait_s = -1"),
            "triage.max_speech_wait_s is `-1`, must be at least 0",
        ),
    ],
)
def test_what_is_missing_or_not_known_is_named(text, message):
    with pytest.raises(PlanError) as raised:
        plan.parse("odd", text, "here")
    assert message in str(raised.value)


def test_a_plan_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(PlanError, match=r"no plan `rtx`; there are: .*cpu.*rtx3090"):
        plan.load("rtx")
    with pytest.raises(PlanError, match=r"rtx5090; `rtx4090` is the nearest$"):
        plan.load("RTX4909")


@pytest.mark.parametrize("name", ["../plans/cpu", "sub/cpu", "..", "", "./cpu"])
def test_a_name_that_is_a_path_is_no_plan(name):
    with pytest.raises(PlanError, match=r"^no plan `.*`; there are: .*cpu.*rtx3090"):
        plan.load(name)


def test_a_plan_that_is_not_utf_8_is_refused_by_its_path(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "PLANS", tmp_path)
    (tmp_path / "odd.toml").write_bytes(b"# \xff\n")
    with pytest.raises(PlanError, match=r"odd\.toml is not UTF-8 \(.*0xff"):
        plan.load("odd")


def test_a_directory_is_no_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "PLANS", tmp_path)
    (tmp_path / "odd.toml").mkdir()
    assert plan.names() == []


def test_what_is_at_the_limits_is_read():
    text = RTX3090.replace("[triage]", "[triage]\nconfidence_threshold = 1\nmax_speech_wait_s = 0")
    for key, value in (
        ("max_tokens", "8192"),
        ("temperature", "2"),
        ("min_chunks_in_flight", "16"),
    ):
        text = with_value(text, key, value)
    found = plan.parse("odd", text, "here")
    assert (found.chat.max_tokens, found.chat.temperature) == (8192, 2.0)
    assert (found.triage.confidence_threshold, found.triage.max_speech_wait_s) == (1.0, 0.0)
    assert found.fit.min_chunks_in_flight == found.fit.max_chunks_in_flight


def test_the_dial_changes_the_memory_and_nothing_else():
    found = plan.load("rtx3090")
    turned = plan.with_vram(found, 16.0)
    assert turned.card.vram_gib == 16.0
    assert plan.with_vram(turned, 24.0) == found
    with pytest.raises(PlanError, match="`cpu` states no card"):
        plan.with_vram(plan.load("cpu"), 16.0)
    with pytest.raises(PlanError, match=r"card\.vram_gib is `inf`, must be a finite number"):
        plan.with_vram(found, float("inf"))


def further(text: str) -> str:
    return f"{CPU}\n{text}\n"


def test_a_plan_may_have_further_whispers_and_the_first_is_the_usual_one() -> None:
    text = further('[speech.models."tiny.en"]\n[speech.models.exact]\nmodel = "base"')
    text += 'precision = "float16"\n'
    found = plan.parse("odd", text, "here").whispers
    assert [(one.name, one.engine, one.model, one.precision) for one in found] == [
        ("base", "whisper", "base", "int8"),
        ("tiny.en", "whisper_tiny.en", "tiny.en", "int8"),
        ("exact", "whisper_exact", "base", "float16"),
    ]


def test_a_further_whisper_stays_loaded_unless_the_plan_says_on_demand() -> None:
    text = further('[speech.models.exact]\nmodel = "base"\n[speech.models."tiny.en"]')
    found = plan.parse("odd", text + 'residence = "on_demand"\n', "here")
    assert [one.name for one in found.residents] == ["base", "exact"]
    assert [one.name for one in found.on_demand] == ["tiny.en"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[speech.models.base]", "speech.models names `base`, which is speech.model already"),
        ("[speech.models.Small]", "names `Small`, must be small letters, digits"),
        ("[speech.models.odd]", "speech.models.odd.model is missing, and `odd` is none of base"),
        ("[speech.models.small]\nprecison = 'int8'", "unknown key `precison` in speech.models.<"),
        ("[speech.models.small]\nprecision = 'int4'", 'must be one of "float16", "int8"'),
        (
            "[speech.models.small]\nresidence = 'sometimes'",
            'must be one of "resident", "on_demand"',
        ),
        ("[speech.models]\nsmall = 3", "`speech.models.<name>` is `3`, must be a section"),
    ],
)
def test_a_further_whisper_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=r"^here: ") as raised:
        plan.parse("odd", further(text), "here")
    assert message in str(raised.value)

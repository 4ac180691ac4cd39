"""Options of a chat: what is taken, and a precise refusal of everything else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from onecard.chat import openai_options, response_format
from onecard.chat import options as chat_options
from onecard.chat.options import ChatOptions
from onecard.errors import InvalidRequest

PAGE = Path(__file__).parents[3] / "docs" / "using" / "chat.md"
SCHEMA = {
    "type": "object",
    "properties": {"é": {"type": "string"}},
    "additionalProperties": False,
}


def options(**given: object) -> ChatOptions:
    return chat_options.read(json.dumps(given))


def test_every_option_has_a_default_that_is_itself_valid():
    for field in dataclasses.fields(ChatOptions):
        assert options(**{field.name: getattr(ChatOptions(), field.name)}) == ChatOptions()


def test_one_stop_string_is_a_list_of_one():
    assert options().stops == []
    assert options(stop="x").stops == ["x"]
    assert options(stop=["x", "y"]).stops == ["x", "y"]


def test_priorities_are_ranks():
    ranks = [options(priority=name).rank for name in ("high", "normal", "low")]
    assert ranks == sorted(set(ranks))
    assert options().rank == options(priority="normal").rank


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        (None, None),
        ({"type": "text"}, None),
        (
            {"type": "json_object"},
            {"type": "object", "properties": {}, "additionalProperties": True},
        ),
        ({"type": "json_schema", "json_schema": SCHEMA}, SCHEMA),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            SCHEMA,
        ),
        ({"type": "json_schema", "json_schema": {}}, {}),
    ],
)
def test_response_formats_become_guides(form, wanted):
    found = options(response_format=form).form
    if isinstance(wanted, dict):
        assert found is not None
        assert found.guide.kind == "json_schema"
        assert json.loads(found.guide.text) == wanted
    else:
        assert found == wanted


def test_a_schema_that_was_read_is_kept():
    form = {"type": "json_schema", "json_schema": SCHEMA}
    assert response_format.read(form) is response_format.read(json.loads(json.dumps(form)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_token": 3}, "did you mean `max_tokens`"),
        ({"max_tokens": 0}, "between 1"),
        ({"temperature": 2.1}, "between"),
        ({"top_p": 0}, "between"),
        ({"top_k": -2}, "between -1"),
        ({"max_tokens": 2**31}, "between 1"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "means the same"),
        ({"logit_bias": {"x": 1}}, "token ids"),
        ({"logit_bias": {"-1": 1}}, "token ids"),
        ({"logit_bias": {"5": 101}}, "between -100.0 and 100.0"),
        ({"logit_bias": {"5": "1"}}, "must be a number"),
        ({"logit_bias": {str(n): 1 for n in range(1025)}}, "at most 1024"),
        ({"stop_token_ids": [-1]}, "ids of tokens"),
        ({"stop_token_ids": [True]}, "ids of tokens"),
        ({"stop_token_ids": list(range(17))}, "at most 16"),
        ({"stream": "no"}, "true or false"),
        ({"add_generation_prompt": False}, "begins a turn"),
        ({"seed": -1}, "between 0"),
        ({"seed": 2**64}, "between 0"),
        ({"repetition_penalty": 0}, "between"),
        ({"stop": [""]}, "1 to"),
        ({"stop": "x" * 300}, "1 to"),
        ({"stop": [3]}, "texts"),
        ({"stop": ["x"] * 17}, "at most 16"),
        ({"priority": "urgent"}, "`high`, `normal`, `low`"),
        ({"logprobs": 3}, "true or false"),
        ({"response_format": "json"}, "an object"),
        ({"response_format": {}}, "one of `text`"),
        ({"response_format": {"type": "yaml"}}, "one of `text`"),
        ({"response_format": {"type": "text", "schema": {}}}, "unknown option `schema`"),
        ({"response_format": {"type": "json_schema"}}, "a JSON schema"),
        ({"response_format": {"type": "json_schema", "json_schema": "x"}}, "a JSON schema"),
    ],
)
def test_refuses_options(given, says):
    with pytest.raises(InvalidRequest, match=says):
        options(**given)


def test_numbers_that_are_none_are_refused():
    for text in ('{"temperature": NaN}', '{"top_p": Infinity}', '{"seed": 1e999}'):
        with pytest.raises(InvalidRequest, match="finite"):
            chat_options.read(text)


def test_null_is_the_default_of_every_option():
    names = [field.name for field in dataclasses.fields(ChatOptions)]
    assert options(**dict.fromkeys([*names, *openai_options.NAMES])) == ChatOptions()


def test_an_openai_clients_options_are_taken():
    found = options(
        model="m", user="u", metadata={"a": "b"}, store=True, service_tier="auto", n=1,
        stream_options={"include_usage": True}, parallel_tool_calls=False, tools=[],
        tool_choice="none", top_logprobs=0, modalities=["text"], logit_bias={}, min_p=0.0,
        max_completion_tokens=7, safety_identifier="s", prompt_cache_key="k", audio=None,
    )  # fmt: skip
    assert found == ChatOptions(
        max_completion_tokens=7, logit_bias={}, tools=[], tool_choice="none",
        parallel_tool_calls=False,
    )  # fmt: skip
    assert found.limit == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("n", True),
        ("top_logprobs", 3),
        ("min_p", 0.1),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("reasoning_effort", "high"),
        ("web_search_options", {"search_context_size": "low"}),
        ("guided_json", {"type": "object"}),
        ("best_of", 3),
        ("ignore_eos", True),
        ("skip_special_tokens", False),
    ],
)
def test_what_would_make_another_answer_is_refused_by_name(name, value):
    with pytest.raises(InvalidRequest, match=f"option `{name}` is "):
        options(**{name: value})


def test_options_may_stand_among_the_parameters():
    assert chat_options.read("", '{"max_tokens": 3, "n": 1, "user": "u"}').limit == 3
    with pytest.raises(InvalidRequest, match="option `n`"):
        chat_options.read("", '{"n": 2}')


def test_the_page_names_every_option_and_no_other():
    page = PAGE.read_text(encoding="utf-8")
    section = page.split("## OPTIONS")[1].split("\n`response_format` is")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    own = {field.name for field in dataclasses.fields(ChatOptions)}
    assert named == own | set(openai_options.NAMES)

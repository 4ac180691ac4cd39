"""Messages and options of a chat: what is taken, and a precise refusal of everything else."""

from __future__ import annotations

import dataclasses
import json

import pytest

from onecard import chat_options, json_options
from onecard.chat_options import ChatOptions
from onecard.errors import InvalidRequest
from onecard.llm_tokenizer import Message

SCHEMA = {"type": "object", "properties": {"é": {"type": "string"}}}


def options(**given: object) -> ChatOptions:
    return json_options.parse(ChatOptions, json.dumps(given))


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
        ({"type": "json_object"}, chat_options.ANY_OBJECT),
        ({"type": "json_schema", "json_schema": SCHEMA}, SCHEMA),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            SCHEMA,
        ),
        ({"type": "json_schema", "json_schema": {}}, {}),
    ],
)
def test_response_formats_become_guides(form, wanted):
    found = options(response_format=form).guide()
    if isinstance(wanted, dict):
        assert found is not None
        assert found.kind == "json_schema"
        assert json.loads(found.text) == wanted
    else:
        assert found == wanted


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_token": 3}, "did you mean `max_tokens`"),
        ({"max_tokens": 0}, "at least 1"),
        ({"temperature": 2.1}, "between"),
        ({"top_p": 0}, "between"),
        ({"top_k": -1}, "at least 0"),
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


def test_a_conversation_is_read():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]
    wanted = [Message("system", "s"), Message("user", "ab")]
    assert chat_options.messages(json.dumps(turns)) == wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("hello", "not JSON"),
        ('"hello"', "a JSON str"),
        ("{}", "a JSON dict"),
        ("[]", "an empty list"),
        ("[1]", "message 0 has `int`"),
        ('[{"role": "user"}]', "must have `role` and `content`"),
        ('[{"role": "user", "content": "x", "name": "y"}]', "nothing else"),
        ('[{"role": "user", "content": "x"}, {"role": "tool", "content": "x"}]', "message 1"),
        ('[{"role": null, "content": "x"}]', "must be one of system, user, assistant"),
        ('[{"role": ["user"], "content": "x"}]', "must be one of"),
        ('[{"role": "user", "content": null}]', "neither a text"),
        ('[{"role": "user", "content": [{"type": "image_url"}]}]', "takes text alone"),
        ('[{"role": "user", "content": ["x"]}]', "takes text alone"),
        ('[{"role": "user", "content": [{"type": "text", "text": 3}]}]', "takes text alone"),
    ],
)
def test_refuses_conversations(text, says):
    with pytest.raises(InvalidRequest, match=says):
        chat_options.messages(text)

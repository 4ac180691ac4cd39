"""Conversations as clients send them: what is taken, and a precise refusal of everything else."""

from __future__ import annotations

import json

import pytest

from onecard.chat import messages
from onecard.errors import InvalidRequest
from onecard.llm.message import Message


def test_a_conversation_is_read():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]
    wanted = [Message("system", "s"), Message("user", "ab")]
    assert messages.read(json.dumps(turns)) == wanted


def test_a_message_as_openais_sdk_sends_it_back():
    nulls = {"tool_calls": None, "function_call": None, "audio": None, "refusal": None}
    turns = [
        {"role": "developer", "content": "Be brief.", "name": "ann"},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": "Ho", "annotations": [], **nulls},
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]
    assert messages.read(json.dumps(turns)) == [
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Ho"),
        Message("assistant", "I cannot."),
        Message("assistant", "No."),
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"role": "user", "content": "x"},
        {"messages": [{"role": "user", "content": "x"}]},
        [{"role": "user", "content": "x"}],
    ],
)
def test_natural_forms_of_one_message(document):
    assert messages.read(json.dumps(document)) == [Message("user", "x")]


def test_half_of_a_character_is_marked():
    found = messages.read('[{"role": "user", "content": "Great \\ud83d"}]')
    assert found == [Message("user", "Great \ufffd")]


def test_refusals_quote_little_of_what_is_long():
    for text in (
        "[" * 100_000,
        json.dumps([{"role": "x" * 1_000_000, "content": ""}]),
        "y" * 10**6,
    ):
        with pytest.raises(InvalidRequest) as refusal:
            messages.read(text)
        assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("hello", "`hello`, not JSON"),
        ('"hello"', "is a text"),
        ("3", "is a number"),
        ("{}", "message 0 has nothing"),
        ('{"messages": [], "model": "x"}', "`model` beside `messages`"),
        ('{"messages": []}', "an empty list"),
        ("[]", "an empty list"),
        ("[1]", "message 0 is a number"),
        ('[{"role": "user"}]', "neither a text"),
        ('[{"content": "x"}]', "must have `role` and `content`"),
        ('[{"role": "user", "content": "x", "name": 3}]', "must be a text"),
        ('[{"role": "user", "content": "x", "images": ["y"]}]', "`images`, which is not taken"),
        ('[{"role": "assistant", "content": null, "tool_calls": [{}]}]', "`tool_calls`"),
        ('[{"role": "user", "content": "x", "tool_call_id": "y"}]', "`tool_call_id`"),
        ('[{"role": "function", "content": "x"}]', "results of functions"),
        ('[{"role": "user", "content": "x"}, {"role": "tool", "content": "x"}]', "message 1"),
        ('[{"role": null, "content": "x"}]', "must be one of system, developer, user, assistant"),
        ('[{"role": ["user"], "content": "x"}]', "must be one of"),
        ('[{"role": "user", "content": null}]', "neither a text"),
        ('[{"role": "user", "content": [{"type": "image_url"}]}]', "takes text alone"),
        ('[{"role": "user", "content": ["x"]}]', "takes text alone"),
        ('[{"role": "user", "content": [{"type": "text", "text": 3}]}]', "takes text alone"),
    ],
)
def test_refuses_conversations(text, says):
    with pytest.raises(InvalidRequest, match=says):
        messages.read(text)

"""Calls and results in a conversation."""

from __future__ import annotations

import json

import pytest

from onecard.chat import messages
from onecard.errors import InvalidRequest
from onecard.llm.tool import ToolCall

CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"a": 1}'}}
ASKED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "12"}]}


def test_calls_and_their_results():
    asked, result = messages.read(json.dumps([ASKED, RESULT]))
    (call,) = asked.tool_calls
    assert (asked.role, asked.content, call.name, call.arguments) == (
        "assistant",
        "",
        "now",
        '{"a": 1}',
    )
    assert (result.role, result.content, result.answers) == ("tool", "12", call)


def test_ids_are_of_the_form_that_every_template_takes():
    own = {**CALL, "id": "aB3dE6gH9"}
    found = messages.read(json.dumps([ASKED, {**ASKED, "tool_calls": [own]}]))
    ids = [message.tool_calls[0].id for message in found]
    assert ids[1] == "aB3dE6gH9"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()


def test_arguments_may_be_an_object_and_none():
    function = {"name": "now", "arguments": {}}
    asked = {**ASKED, "tool_calls": [{"id": "aB3dE6gH9", "function": function}]}
    (found,) = messages.read(json.dumps(asked))
    assert found.tool_calls == (ToolCall("aB3dE6gH9", "now", "{}"),)


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([RESULT], "no id among the `tool_calls`"),
        ([ASKED, {**RESULT, "tool_call_id": "call_2"}], "`'call_2'`, which is no id"),
        ([ASKED, {"role": "tool", "content": "12"}], "`tool_call_id` none"),
        ([ASKED, {**RESULT, "content": None}], "neither a text"),
        ([{**ASKED, "tool_calls": [CALL, CALL]}], "two `tool_calls` with the id `call_1`"),
        ([{**ASKED, "tool_calls": "now"}], "must be a list"),
        ([{**ASKED, "tool_calls": [{**CALL, "id": ""}]}], "in `tool_calls`"),
        ([{**ASKED, "tool_calls": [{**CALL, "type": "custom"}]}], "in `tool_calls`"),
        ([{**ASKED, "role": "user", "content": "x"}], "has `tool_calls`, which is not taken"),
    ],
)
def test_refuses_conversations(turns, says):
    with pytest.raises(InvalidRequest, match=says):
        messages.read(json.dumps(turns))


@pytest.mark.parametrize("arguments", ["[]", "{", 3, None, '{"a": NaN}'])
def test_arguments_that_are_no_object_are_refused(arguments):
    call = {**CALL, "function": {"name": "now", "arguments": arguments}}
    with pytest.raises(InvalidRequest, match="message 0"):
        messages.read(json.dumps([{**ASKED, "tool_calls": [call]}]))

"""Answers that are JSON on the way from the engine, and text or calls for callers."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard.chat import options as chat_options
from onecard.chat import tool_answer
from onecard.chat.tool_answer import ToolAnswer
from onecard.chat.tools import Toolset
from tests.tool_offers import TOOLS

CALL = '{"tool_calls": [{"name": "get_weather", "arguments": {"city": "Zürich"}}]}'


def toolset(**given: object) -> Toolset:
    found = chat_options.read(json.dumps({"tools": TOOLS, **given})).toolset
    assert found is not None
    return found


@given(st.text(), st.booleans(), st.integers(1, 7))
def test_text_comes_out_whatever_its_pieces_are(text, is_ascii, size):
    raw = json.dumps({"content": text}, ensure_ascii=is_ascii)
    answer = ToolAnswer()
    pieces = [answer.push(raw[start : start + size]) for start in range(0, len(raw), size)]
    assert "".join(pieces) == text
    assert answer.raw == raw


def test_text_is_told_before_it_is_whole():
    answer = ToolAnswer()
    assert [answer.push(piece) for piece in (' {"con', 'tent" :"It ', "ra\\", 'n"x')] == [
        "",
        "It ",
        "ra",
        "\n",
    ]


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\n", r"\ud83d\u0041"])
def test_half_a_character_is_marked(half):
    wanted = json.loads(f'"{half}"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert ToolAnswer().push(f'{{"content": "{half}"}}') == wanted


def test_calls_are_no_text_and_told_with_ids():
    answer = ToolAnswer()
    assert "".join(map(answer.push, CALL)) == ""
    found, problem = tool_answer.calls(answer.raw, toolset())
    assert problem is None
    (call,) = found
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city": "Zürich"}')
    assert len(call["id"]) == 9
    assert call["id"].isalnum()


def test_calls_that_were_told_stay_as_they_were():
    answer = ToolAnswer({"get_weather"})
    pieces = [answer.push(piece) for piece in CALL]
    parts = answer.parts()
    found, _ = tool_answer.calls(answer.raw, toolset(), answer.calls)
    assert ("".join(pieces), answer.parts()) == ("", [])
    assert [(call["id"], call["name"]) for call in found] == [(parts[0]["id"], "get_weather")]
    assert "".join(part["arguments"] for part in parts) == found[0]["arguments"]
    # what was not told, such as a call whose members come the other way round, is told now
    other = ', {"arguments": {}, "name": "now"}]'.join(CALL.rsplit("]", 1))
    found, problem = tool_answer.calls(other, toolset(), answer.calls)
    assert problem is None
    assert [call["id"] == parts[0]["id"] for call in found] == [True, False]


def test_text_has_no_calls():
    assert tool_answer.calls('{"content": "x"}', toolset()) == ([], None)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "not JSON"),
        (CALL[:-1], "not JSON"),
        ("[]", "object"),
        ("{}", "no `tool_calls`"),
        ('{"tool_calls": []}', "no `tool_calls`"),
        ('{"content": 1}', "not a text"),
        ('{"tool_calls": [1]}', "`name` and `arguments`"),
        ('{"tool_calls": [{"name": "rain", "arguments": {}}]}', "no function that was offered"),
        ('{"tool_calls": [{"name": "now", "arguments": []}]}', "no object"),
        ('{"tool_calls": [{"name": "now", "arguments": {"a": 1}}]}', r"tool_calls\[0\]"),
        ('{"tool_calls": [{"name": "now", "name": "x", "arguments": {}}]}', "twice"),
    ],
)
def test_an_answer_that_is_neither_is_told_where(raw, says):
    found, problem = tool_answer.calls(raw, toolset())
    assert found == []
    assert problem is not None
    assert re.search(says, problem)


def test_a_text_is_no_answer_where_a_call_is_required():
    assert tool_answer.calls('{"content": "x"}', toolset(tool_choice="required"))[1]

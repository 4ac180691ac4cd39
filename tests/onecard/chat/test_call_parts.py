"""Calls in an answer's JSON, told while they come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard import documents
from onecard.chat.call_parts import CallParts, joined

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=3)


def pushed(parts: CallParts, text: str, size: int) -> list[dict]:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return [part for piece in pieces for part in parts.push(piece)]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(OBJECTS, min_size=1, max_size=3),
    st.booleans(),
    st.integers(1, 9),
    st.sampled_from([None, 1]),
)
def test_whatever_its_pieces_and_spaces_are(objects, is_ascii, size, indent):
    calls = [{"name": "now", "arguments": found} for found in objects]
    text = json.dumps(calls, ensure_ascii=is_ascii, indent=indent)[1:] + "}"
    parts = CallParts({"now"})
    told = pushed(parts, text, size)
    assert [call.arguments for call in parts.calls] == [documents.write(one) for one in objects]
    assert len({call.id for call in parts.calls}) == len(objects)
    whole = joined(told)
    assert [part["arguments"] for part in whole] == [call.arguments for call in parts.calls]
    assert [part["index"] for part in whole] == list(range(len(objects)))
    assert [part["id"] for part in whole] == [call.id for call in parts.calls]


def test_arguments_come_as_they_are_made():
    parts = CallParts({"rain"})
    told = [
        parts.push(piece)
        for piece in (' {"name" :"rain", "argu', 'ments":{"ci', 'ty":"Pa\\u0', "0e9")
    ]
    assert told[0] == []
    (begun, first) = told[1]
    assert (begun["name"], begun["arguments"], first["arguments"]) == ("rain", "", '{"ci')
    assert told[2:] == [
        [{"index": 0, "arguments": 'ty": "Pa'}],
        [{"index": 0, "arguments": "é"}],
    ]


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\u0041"])
def test_half_a_character_is_marked(half):
    parts = CallParts({"now"})
    parts.push(f'{{"name": "now", "arguments": {{"a": "{half}"}}}}')
    assert "\ufffd" in parts.calls[0].arguments
    json.loads(parts.calls[0].arguments.encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "then", "arguments": {}}',
        '{"arguments": {}, "name": "now"}',
        '{"name": "\\x", "arguments": {}}',
        '{"name": 1, "arguments": {}}',
        '{"name": "now", "arguments": []}',
    ],
)
def test_what_is_no_call_that_was_offered_is_not_told(text):
    parts = CallParts({"now"})
    assert pushed(parts, text, 3) == []
    assert parts.calls == []

"""JSON from strangers: what is read, mended and refused, and what is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard import documents
from onecard.errors import InvalidRequest

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANY_JSON)
def test_what_is_json_is_read_as_it_is(document):
    assert documents.read("X", json.dumps(document), "JSON") == document


def test_half_of_a_character_is_mended_wherever_it_is():
    text = r'{"a\ud83d": ["b\ude00", {"c": "\ud83d\ude00 \\ud83d"}]}'
    found = documents.read("X", text, "JSON")
    assert found == {"a\ufffd": ["b\ufffd", {"c": "\U0001f600 \\ud83d"}]}


def test_half_of_a_character_stays_where_a_text_has_to_come_back():
    assert documents.read("X", r'["\ud83d"]', "JSON", mended=False) == ["\ud83d"]


def test_a_byte_order_mark_is_passed_over():
    assert documents.read("X", "\ufeff[1]", "JSON") == [1]


@pytest.mark.parametrize("deep", ["[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100])
def test_as_deep_as_is_allowed(deep):
    documents.read("X", deep, "JSON")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "X is empty; send a list"),
        (" \n", "X is empty; send a list"),
        ("[1", "X is not JSON .*; send a list"),
        ("[1][2]", "X is not JSON .*Extra data"),
        ("{'a': 1}", "X is not JSON .*double quotes"),
        ("[" * 101 + "]" * 101, "X is not JSON .* more than 100 deep"),
        ("[" * 100_000, "more than 100 deep"),
        ('{"a":' * 100_000, "more than 100 deep"),
        ("[NaN]", "X has `NaN`, which is no number that JSON has; give a finite number"),
        ('{"a": -Infinity}', "`-Infinity`, which is no number"),
        ("[-1e999]", "`-1e999`, which is too large"),
        ("9" * 301, "301 digits long"),
        ("[-" + "9" * 100_000 + "]", "100001 digits long"),
        ('{"a": 1, "b": 2, "a": 3}', "name `a` twice in one object"),
        (r'{"\ud83d": 1, "\ud83e": 3}', "name `\ufffd` twice in one object"),
    ],
)
def test_everything_else_is_refused_in_few_words(text, says):
    with pytest.raises(InvalidRequest, match=says) as refused:
        documents.read("X", text, "a list")
    assert len(str(refused.value)) < 300


def test_a_name_that_says_the_same_twice_is_no_question():
    assert documents.read("X", '{"a": [1], "a": [1]}', "JSON") == {"a": [1]}


def test_what_is_written_is_utf_8_of_one_line():
    written = documents.write({"a\ud83d": "Grüße\n\udc00"})
    assert written == '{"a\ufffd": "Grüße\\n\ufffd"}'
    written.encode()


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "true or false"), ({}, "an object"), ([], "a list"), (1, "a number"),
     (1.5, "a number"), ("", "a text"), (None, "null")],
)  # fmt: skip
def test_kinds_have_the_names_of_json(value, kind):
    assert documents.kind(value) == kind


def test_what_is_too_long_is_not_even_read():
    assert documents.read("X", '"' + "a" * 98 + '"', "JSON", max_letters=100) == "a" * 98
    with pytest.raises(InvalidRequest, match="X has 101 letters, must have at most 100"):
        documents.read("X", "[" * 101, "JSON", max_letters=100)


@pytest.mark.parametrize("value", ["[]", "{}", "0", "null", '""', '{"a":0}', r'"\\"', r'"\""'])
def test_many_small_values_are_refused_before_they_take_memory(value, monkeypatch):
    monkeypatch.setattr(documents, "MIN_VALUES", 100)
    few, many = (f"[{','.join([value] * number)}]" for number in (20, 300))
    documents.read("X", few, "JSON", max_letters=3200)
    with pytest.raises(InvalidRequest, match=r"too many values .*at most 100;"):
        documents.read("X", many, "JSON", max_letters=3200)


@given(st.text('[{,:"\\ab', min_size=1))
def test_what_a_text_says_is_no_value(text):
    longest = 100_000
    document = json.dumps([text * (longest // len(text))])
    documents.read("X", document, "JSON", max_letters=4 * longest)


def test_what_is_json_already_is_written_as_it_is():
    inner = documents.write({"segments": [{"start": 0.25, "text": 'Stra\u00dfe "1"'}]})
    event = {"event": "result\udc00", "result": documents.Json(inner), "n": [1, None]}
    written = documents.write(event)
    assert written == documents.write({**event, "result": json.loads(inner)})
    assert json.loads(written)["event"] == "result\ufffd"

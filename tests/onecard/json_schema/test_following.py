"""What a grammar of a rewritten schema lets through is what the caller's schema allows."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import jsonschema
import numpy as np
import pytest
import xgrammar

from onecard.errors import InvalidRequest
from onecard.json_schema import answers, patterns
from onecard.json_schema.document import Document
from onecard.json_schema.following import followed
from onecard.json_schema.patterns import Unfollowed
from tests.onecard.json_schema.walks import walk

LETTERS = [chr(code) for code in range(0x20, 0x7F)] + ["\n", "\t", "\x00", "\x7f", "é", "日"]
TOKENS = [*LETTERS, '":', '"}', '",', '\\"', "true", "null", "12", "</s>"]
STOP = len(TOKENS) - 1
COMPILER = xgrammar.GrammarCompiler(
    xgrammar.TokenizerInfo(TOKENS, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[STOP]),
    max_threads=1,
)
DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}


def only(schema: Any, **more: Any) -> dict[str, Any]:
    """An object with the property `a` alone."""
    return {
        "type": "object",
        "properties": {"a": schema},
        "required": ["a"],
        "additionalProperties": False,
        **more,
    }


def texts(schema: Any, count: int = 25) -> list[str]:
    document = json.dumps(followed(Document(schema)), ensure_ascii=False)
    compiled = COMPILER.compile_json_schema(document, max_whitespace_cnt=1)
    draw, mask = random.Random(1), np.zeros((1, -(-len(TOKENS) // 32)), np.int32)
    return [text for _ in range(count) if (text := walk(compiled, draw, TOKENS, mask)) is not None]


FOLLOWED = {
    "allOf": only({"allOf": [{"type": "integer", "minimum": 500}, {"maximum": 700}]}),
    "allOf of objects": {
        "allOf": [
            {"type": "object", "properties": {"a": DIGIT}, "required": ["a"]},
            {"properties": {"b": {"type": "boolean"}}, "required": ["b"]},
        ]
    },
    "the same property twice": {
        "allOf": [only({"minimum": 3}), only({"type": "integer", "maximum": 5})],
    },
    "anyOf beside properties": {
        "type": "object",
        "properties": {"a": DIGIT, "b": DIGIT},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        "additionalProperties": False,
    },
    "required without properties": {"type": "object", "required": ["name"]},
    "pattern and lengths": only({"type": "string", "pattern": "^[a-z]+$", "maxLength": 2}),
    "lengths alone": only({"type": "string", "minLength": 2, "maxLength": 4}),
    "lengths without a type": only({"maxLength": 2}),
    "minimum without a type": only({"minimum": 5}),
    "several types": only({"type": ["string", "integer"], "maxLength": 2, "minimum": 5}),
    "beside a reference": only({"$ref": "#/$defs/n", "minimum": 500}, **{
        "$defs": {"n": {"type": "integer", "maximum": 510}}
    }),
    "a name to be decoded": only(
        {"$ref": "#/$defs/n~1x%20y"}, **{"$defs": {"n/x y": DIGIT}}
    ),
    "not beside enum": only({"enum": ["red", "blue"], "not": {"const": "red"}}),
    "enum of another type": only({"type": "string", "enum": ["x", 1]}),
    "const": only({"type": "number", "const": 1.5}),
    "oneOf told apart": {
        "oneOf": [
            only({"const": "x"}),
            {"type": "object", "properties": {"a": {"const": "y"}, "b": DIGIT}, "required": ["a"]},
            {"type": "null"},
        ]
    },
    "bounds of whole numbers": only({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 3}),
    "whole multiples": only({"type": "number", "multipleOf": 5, "minimum": 3, "maximum": 30}),
    "days that exist": only({"format": "date"}),
    "any letter": only({"type": "string", "pattern": "^.{1,4}$"}),
    "quotes": only({"type": "string", "pattern": r'^"[a-z]\\[^a]$'}),
    "an open end": only({"type": "string", "pattern": "^ab"}),
    "list without items": {"type": "array", "minItems": 1, "maxItems": 2},
    "tuple": {"type": "array", "prefixItems": [True, DIGIT], "maxItems": 1},
    "tuple of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": [DIGIT, {"type": "boolean"}],
        "additionalItems": False,
    },
    "minProperties": {"minProperties": 1, "maxProperties": 1, "additionalProperties": DIGIT},
    "property matches a pattern": {
        "type": "object",
        "properties": {"ab": {"minimum": 3}},
        "required": ["ab"],
        "patternProperties": {"^a": DIGIT},
    },
    "recursion that can end": {
        "type": "object",
        "properties": {"c": {"allOf": [{"$ref": "#"}, {"required": ["v"]}]}, "v": DIGIT},
        "additionalProperties": False,
    },
    "an option without an end": {
        "$defs": {"n": only({"$ref": "#/$defs/n"})},
        "anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}],
    },
    "annotations": only(
        {"type": "boolean", "title": "T", "default": 3, "examples": [1], "readOnly": True, "x-y": 1}
    ),
    "anything": True,
}  # fmt: skip


@pytest.mark.parametrize("schema", FOLLOWED.values(), ids=FOLLOWED)
def test_whatever_the_grammar_lets_through_is_valid(schema):
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    found = texts(schema)
    assert found
    for text in found:
        kind(schema).validate(json.loads(text))


def test_days_exist():
    for text in texts(only({"type": "string", "format": "date"}), 60):
        jsonschema.FormatChecker().check(json.loads(text)["a"], "date")


def test_what_stands_beside_enum_leaves_out_values():
    schema = {"enum": ["ab", "abcd", 7, None], "maxLength": 2, "not": {"type": "null"}}
    assert followed(Document(schema)) == {"enum": ["ab", 7]}


REFUSED = {
    "not": ({"not": {"type": "null"}}, "`not` at `#/not`"),
    "if": ({"type": "object", "if": {"required": ["a"]}}, "`if` at `#/if`"),
    "uniqueItems": (only({"type": "array", "uniqueItems": True}), "`uniqueItems` at `#/properties"),
    "contains": ({"type": "array", "contains": DIGIT}, "`contains`"),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, "`dependentRequired`"),
    "overlapping": ({"oneOf": [DIGIT, {"type": "integer", "maximum": 20}]}, "branches 0 and 1"),
    "look-ahead": (only({"pattern": "^(?=a)a$"}), "look-ahead"),
    "look-ahead within": (only({"pattern": "^x(a|(?!b)c)$"}), "look-ahead"),
    "group again": (only({"pattern": r"^(a)\1$"}), "reference to a group"),
    "word boundary": (only({"pattern": r"\ba"}), "anchor"),
    "flags": (only({"pattern": "(?i)a"}), "flags"),
    "no pattern": (only({"pattern": "["}), "regex"),
    "remote": (only({"$ref": "https://example.com/a.json"}), r"put what it names into `\$defs`"),
    "file": (only({"$ref": "other.json#/a"}), "is not followed"),
    "nowhere": (only({"$ref": "#/$defs/a"}), "is not in it"),
    "fraction": (only({"type": "number", "multipleOf": 0.1}), "`multipleOf`"),
    "half bounds": (only({"type": "integer", "multipleOf": 5, "minimum": 1}), "with both"),
    "large number": ({"const": 2**60}, "not written exactly"),
    "format": (only({"format": "iri"}), "`iri` is not followed"),
    "format and length": (only({"format": "email", "maxLength": 5}), "beside `format`"),
    "two patterns": ({"patternProperties": {"a": DIGIT, "b": {"type": "null"}}}, "several"),
    "type": ({"type": "strin"}, "not valid at `#/type`"),
    "nullable": ({"type": "string", "nullable": True}, "`nullable`"),
    "misspelt": ({"type": "object", "requierd": ["a"]}, "did you mean `required`"),
    "contradiction": ({"allOf": [{"type": "string"}, {"type": "null"}]}, "allows nothing"),
    "no value": ({"type": "integer", "enum": ["a"]}, "allows nothing"),
    "closed": ({"required": ["a"], "additionalProperties": False}, "requires `a`"),
    "empty range": ({"type": "integer", "minimum": 3, "maximum": 2}, "between 3 and 2"),
    "without an end": (only({"$ref": "#"}), "without end"),
    "only itself": ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "without end"),
    "in a circle": ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "leads back to itself"),
    "too deep": ({"const": json.loads("[" * 70 + "]" * 70)}, "more than 64 levels"),
    "too many objects": (
        {"type": "object", "properties": {f"p{n}": {"type": "null"} for n in range(2000)}},
        "more than 2000 objects",
    ),
    "nested choices": (
        json.loads('{"anyOf":[' * 40 + '{"type":"string"}' + "]}" * 40),
        "more than 64 levels",
    ),
    "too large": ({"enum": ["x" * 100_001]}, "letters of JSON"),
    "too many branches": ({"anyOf": [{"const": n} for n in range(100)]}, "100 branches"),
    "2^30 references": (
        {
            "$defs": {
                **{f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)},
                "a30": {"type": "string"},
            },
            "$ref": "#/$defs/a0",
        },
        "subschemas",
    ),
}


@pytest.mark.parametrize(("schema", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(schema, says):
    with pytest.raises(InvalidRequest, match=says):
        followed(Document(schema))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 3}', None),
        ('{"a": 30}', "`$.a`: 30 is greater"),
        ('{"a": 3, "a": 4}', "the name `a` twice"),
        ('{"a": 3', "not JSON"),
        ('{"a": NaN}', "no JSON"),
        ("[" * 5000, "deep"),
        ("{}", "'a' is a required property"),
    ],
)
def test_an_answer_is_held_against_the_schema(text, says):
    problem = answers.problem(text, Document(only(DIGIT)))
    assert (problem is None) if says is None else says in (problem or "")


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a{0,50}){0,50}$", "^(a?){30}a{30}$", "^(ab|a|b)*$", "a*a*a*a*c"]
)
def test_a_pattern_that_could_take_for_ever_is_not_looked_for(pattern):
    document = Document({"type": "string", "pattern": pattern})
    assert answers.problem(json.dumps("a" * 45 + "!"), document) is None


def test_checks_that_multiply_end():
    chain = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    document = Document({"$defs": {**chain, "a40": {"type": "null"}}, "$ref": "#/$defs/a0"})
    answers.problem("1", document)


def test_an_answer_that_takes_long_to_check_is_left_to_the_engine(monkeypatch):
    many = {"type": "array", "items": {"anyOf": [{"const": n} for n in range(64)]}}
    monkeypatch.setattr("onecard.json_schema.document.MAX_CHECKS", 1000)
    assert answers.problem(json.dumps([70] * 10), Document(many)) is not None
    assert answers.problem(json.dumps([70] * 10_000), Document(many)) is None


@pytest.mark.parametrize(
    ("pattern", "shortest", "longest", "wanted"),
    [
        ("^[a-c]+$", 2, 4, "^([a-c]{2}[a-c]{0,2})$"),
        ("^[A-Z][a-z]*$", 3, math.inf, "^[A-Z]([a-z]{2}[a-z]*)$"),
        ("^(foo|bar)$", 1, 3, "^(foo|bar)$"),
        ("^(a|bcd)$|^x$", 3, 3, None),
        ("^(ab)+$", 0, 9, None),
    ],
)
def test_patterns_with_lengths(pattern, shortest, longest, wanted):
    if wanted is None:
        with pytest.raises(Unfollowed):
            patterns.followed(pattern, shortest, longest)
    else:
        assert patterns.followed(pattern, shortest, longest) == wanted

"""A caller's schema: what holds the engine to it, what is refused, and which citations stand."""

from __future__ import annotations

import json

import pytest

from onecard.errors import InvalidRequest
from onecard.minutes.form import form

RISKS = {
    "type": "object",
    "properties": {
        "risks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "risk": {"type": "string"},
                    "cites": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                },
                "required": ["risk", "cites"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["risks"],
    "additionalProperties": False,
}


def cites_of(guide):
    return json.loads(guide.text)["properties"]["risks"]["items"]["properties"]["cites"]


def test_the_guide_knows_numbers_of_findings_alone_and_there_are_few_guides():
    found = form.read(RISKS)
    cites = cites_of(found.guide(5))
    assert (cites["items"]["minimum"], cites["items"]["maximum"]) == (1, 8)
    assert (cites["minItems"], cites["maxItems"]) == (1, form.MAX_CITED)
    assert len({found.guide(number).text for number in range(1, 65)}) == 7
    assert "minimum" not in found.text  # the caller's own schema is as it was sent


def test_citations_that_do_not_stand_are_dropped_with_what_cited_nothing_else():
    written = {"risks": [
        {"risk": "none", "cites": [7, 8]},
        {"risk": "one", "cites": [2, 9, 2]},
    ]}  # fmt: skip
    document, num_dropped = form.read(RISKS).read(json.dumps(written), 3)
    assert document == {"risks": [{"risk": "one", "cites": [2]}]}
    assert num_dropped == 3


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('{"risks": [', "not JSON"),
        ('{"risks": "none"}', "risks"),
        ('{"risks": [{"risk": "none", "cites": []}]}', "cites"),
    ],
)
def test_what_is_not_of_the_form_is_said_with_its_place(written, message):
    with pytest.raises(ValueError, match=message):
        form.read(RISKS).read(written, 3)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "description": "x" * form.MAX_LETTERS}, "letters of JSON"),
        ({"type": "object", "not": {}}, "option `schema` has `not` at `#/not`"),
        ({"type": "objekt"}, "option `schema` is not valid at `#/type`"),
        ({"properties": {"cites": {"type": "string"}}}, r"#/properties/cites"),
        ({"items": {"properties": {"cites": {"type": "array"}}}}, r"#/items/properties/cites"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused_by_name_and_place(schema, message):
    with pytest.raises(InvalidRequest, match=message) as refused:
        form.read(schema)
    assert "response_format" not in str(refused.value)

"""The keywords of JSON Schema by what becomes of them, and the limits of a schema."""

from __future__ import annotations

import difflib

from onecard.errors import InvalidRequest, clipped, named

# Of a schema as it is sent, counted before anything else is done with it: what comes after takes
# time with the square of these. A level of a schema takes up to three of JSON, so that ten levels,
# OpenAI's limit, are 30; 2,000 objects are more than any engine here compiles in its time.
MAX_SCHEMA_LETTERS = 100_000  # as JSON
MAX_SCHEMA_DEPTH = 64  # objects and lists within one another
MAX_SCHEMA_OBJECTS = 2_000
MAX_SUBSCHEMAS = 5000  # references followed and combinations multiplied out
MAX_BRANCHES = 64  # of one `anyOf`, after it was combined with its sibling keywords
MAX_ITEMS = 1000  # of one array, where a number of items is asked for
MAX_EXACT = 2**53  # the largest whole number that the engine's grammar writes as it is
MAX_BOUND = 2**63 - 1

ANNOTATIONS = frozenset(
    {
        "$schema", "$id", "id", "$comment", "$anchor", "$vocabulary", "$defs", "definitions",
        "title", "description", "default", "example", "examples", "deprecated", "readOnly",
        "writeOnly", "contentEncoding", "contentMediaType", "contentSchema",
    }
)  # fmt: skip
STRING = ("pattern", "format", "minLength", "maxLength")
NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
ARRAY = ("items", "prefixItems", "additionalItems", "unevaluatedItems", "minItems", "maxItems",
         "uniqueItems")  # fmt: skip
OBJECT = ("properties", "required", "additionalProperties", "unevaluatedProperties",
          "patternProperties", "propertyNames", "minProperties", "maxProperties")  # fmt: skip
BY_TYPE = {"string": STRING, "number": NUMBER, "array": ARRAY, "object": OBJECT}
COMBINED = ("$ref", "allOf", "anyOf", "oneOf", "enum", "type")
FOLLOWED = frozenset((*COMBINED, *STRING, *NUMBER, *ARRAY, *OBJECT))
# What no grammar here expresses, and what to do.
CURES = {
    "not": "say what is allowed instead, with `enum` or `anyOf`",
    "if": "write the cases as `anyOf`",
    "then": "write the cases as `anyOf`",
    "else": "write the cases as `anyOf`",
    "dependentRequired": "write the cases as `anyOf`",
    "dependentSchemas": "write the cases as `anyOf`",
    "dependencies": "write the cases as `anyOf`",
    "contains": "give the item a place of its own with `prefixItems`, or leave it out",
    "minContains": "leave it out",
    "maxContains": "leave it out",
    "uniqueItems": "leave it out and remove what comes twice, or set `maxItems` to 1",
    "$dynamicRef": "use `$ref`",
    "$dynamicAnchor": "use `$defs` and `$ref`",
    "$recursiveRef": "use `$ref`",
    "$recursiveAnchor": "use `$defs` and `$ref`",
    "nullable": 'add `"null"` to `type`',
}
_KNOWN = sorted({*FOLLOWED, *CURES, *ANNOTATIONS, "const"})


class NothingFits(InvalidRequest):
    """No JSON at all can be what a subschema asks for."""


def refusal(
    keyword: str, place: str, cure: str, why: str = "the engine cannot be held to it"
) -> InvalidRequest:
    """A schema's refusal: what it has, where, and what to do about it."""
    return InvalidRequest(
        f"the schema of `response_format` has `{keyword}` at `{clipped(place, 200)}`: {why}; {cure}"
    )


def nothing_fits(place: str, why: str) -> NothingFits:
    return NothingFits(
        f"the schema of `response_format` allows nothing at `{clipped(place, 200)}`: {why}; mend it"
    )


def verify_name(keyword: str, place: str) -> None:
    """Refuse what is nearly a keyword; any other name means nothing, as the standard has it."""
    if keyword in _KNOWN or len(keyword) > 2 * max(map(len, _KNOWN)):
        return
    near = difflib.get_close_matches(keyword, _KNOWN, n=1, cutoff=0.85)
    if near:
        raise InvalidRequest(
            f"the schema of `response_format` has {named(keyword)} at `{clipped(place, 200)}`, "
            f"which is no keyword; did you mean `{near[0]}`?"
        )

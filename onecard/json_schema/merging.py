"""Merges two schemas into one that allows what both allow, for `$ref`, `anyOf` and `allOf`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from onecard.json_schema.keywords import MAX_BRANCHES, nothing_fits, refusal

Schema = dict[str, Any]

_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_ALL_TYPES = ("string", "number", "integer", "boolean", "null", "array", "object")


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The types that `schema` names; all where it names none."""
    found = schema.get("type", list(_ALL_TYPES))
    return [found] if isinstance(found, str) else list(found)


def merged(first: Schema, second: Schema, place: str) -> Schema:
    """The schema of what both allow; they have no `$ref`, no `allOf` and no `const`.

    Raises:
        NothingFits: nothing is.
        InvalidRequest: a keyword of both cannot be made one.
    """
    _verify_closed(first, second, place)
    _verify_closed(second, first, place)
    found = {**first, **second}
    for keyword in first.keys() & second.keys():
        if first[keyword] != second[keyword]:
            found[keyword] = _one(keyword, first, second, place)
    return found


def _one(keyword: str, first: Schema, second: Schema, place: str) -> Any:
    one, other = first[keyword], second[keyword]
    if keyword in _LARGER or keyword in _SMALLER:
        if isinstance(one, bool) or isinstance(other, bool):  # draft 4's `exclusiveMinimum: true`
            raise refusal(keyword, place, "give the bounds in one place")
        return max(one, other) if keyword in _LARGER else min(one, other)
    if keyword == "enum":
        return _in_both(one, other, place)
    makers: dict[str, Callable[[], Any]] = {
        "type": lambda: _types(first, second, place),
        "required": lambda: list(dict.fromkeys([*one, *other])),
        "properties": lambda: _properties(one, other),
        "additionalProperties": lambda: _subschemas(one, other),
        "propertyNames": lambda: _subschemas(one, other),
        "uniqueItems": lambda: one or other,
        "anyOf": lambda: _product(one, other, place),
    }
    is_tuple = bool((first.keys() | second.keys()) & {"prefixItems"}) or isinstance(one, list)
    if keyword == "items" and not is_tuple and not isinstance(other, list):
        return _subschemas(one, other)
    if keyword not in makers:
        cure = "give it in one place alone"
        raise refusal(keyword, place, cure, "it comes twice with different values")
    return makers[keyword]()


def _in_both(one: list[Any], other: list[Any], place: str) -> list[Any]:
    known = {json.dumps(value, sort_keys=True) for value in other}
    both = [value for value in one if json.dumps(value, sort_keys=True) in known]
    if not both:
        raise nothing_fits(place, "no value is in both `enum`s")
    return both


def _types(first: Schema, second: Schema, place: str) -> list[str]:
    one, other = types_of(first), types_of(second)
    both = [
        kind
        for kind in _ALL_TYPES
        if (kind in one or (kind == "integer" and "number" in one))
        and (kind in other or (kind == "integer" and "number" in other))
    ]
    if not both:
        raise nothing_fits(place, f"it is to be `{'/'.join(one)}` and `{'/'.join(other)}`")
    return both


def _properties(one: Schema, other: Schema) -> Schema:
    both = {name: _subschemas(one[name], other[name]) for name in one.keys() & other.keys()}
    return {name: both.get(name, value) for name, value in {**one, **other}.items()}


def _subschemas(one: Any, other: Any) -> Any:
    """Lazily: what a place within needs is merged when it is reached."""
    if one is False or other is False:
        return False
    if one is True or other is True:
        return other if one is True else one
    return {"allOf": [one, other]}


def _product(one: list[Any], other: list[Any], place: str) -> list[Any]:
    if len(one) * len(other) > MAX_BRANCHES:
        why = f"combined, they have more than {MAX_BRANCHES} branches"
        raise refusal("anyOf", place, "offer fewer", why)
    return [{"allOf": [first, second]} for first in one for second in other]


def _verify_closed(schema: Schema, other: Schema, place: str) -> None:
    """`additionalProperties` looks only at the `properties` beside it, so what another schema adds
    would have to fulfil it."""
    for keyword in ("additionalProperties", "unevaluatedProperties", "patternProperties"):
        rest = schema.get(keyword, True)
        added = other.get("properties", {}).keys() - schema.get("properties", {}).keys()
        if rest is not True and rest != {} and added:
            cure = "name all properties in one place, or set `additionalProperties` there alone"
            why = f"it does not allow the property `{min(added)}`, which stands beside it"
            raise refusal(keyword, place, cure, why)
